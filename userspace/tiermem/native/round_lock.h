/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lock of what a thread works on in rounds, one after the other, and other threads want
 * in between. A mutex alone would be taken again before anybody else wakes up.
 */
#ifndef ROUND_LOCK_H
#define ROUND_LOCK_H

#include <pthread.h>
#include <time.h>

enum { ROUND_LOCK_YIELD_NS = 10000 };

struct round_lock {
	pthread_mutex_t mutex;
	unsigned int waiting;		/* threads for it */
};

static inline void round_lock_init(struct round_lock *lock)
{
	pthread_mutex_init(&lock->mutex, NULL);
	lock->waiting = 0;
}

static inline void round_lock_destroy(struct round_lock *lock)
{
	pthread_mutex_destroy(&lock->mutex);
}

/* --- the thread of rounds --- */

static inline void round_lock_take(struct round_lock *lock)
{
	pthread_mutex_lock(&lock->mutex);
}

/* Returns when all who were waiting have had it. */
static inline void round_lock_give(struct round_lock *lock)
{
	const struct timespec moment = { 0, ROUND_LOCK_YIELD_NS };

	pthread_mutex_unlock(&lock->mutex);
	/* Without sched_yield: since Linux 6.18 each one costs a thread its slice, and it stands
	 * still for a second on a busy host. */
	while (__atomic_load_n(&lock->waiting, __ATOMIC_ACQUIRE))
		nanosleep(&moment, NULL);
}

/* Between two rounds of one that holds it: gives it where somebody waits, and takes it again. */
static inline void round_lock_let_others(struct round_lock *lock)
{
	if (!__atomic_load_n(&lock->waiting, __ATOMIC_ACQUIRE))
		return;
	round_lock_give(lock);
	round_lock_take(lock);
}

/* --- the others: no round goes on between these --- */

static inline void round_lock_pause(struct round_lock *lock)
{
	__atomic_add_fetch(&lock->waiting, 1, __ATOMIC_ACQ_REL);
	pthread_mutex_lock(&lock->mutex);
	__atomic_sub_fetch(&lock->waiting, 1, __ATOMIC_ACQ_REL);
}

static inline void round_lock_resume(struct round_lock *lock)
{
	pthread_mutex_unlock(&lock->mutex);
}

#endif
