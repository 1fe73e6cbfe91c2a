// SPDX-License-Identifier: GPL-2.0-or-later
#include "net_thread.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>

enum {
	FIRST_SLEEP_NS = 10000,
	/* The kernel's own slack of 50 us would be most of a sleep. */
	TIMER_SLACK_NS = 1000,
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* How long the next round may wait, after one that found nothing to do. */
static uint64_t next_wait(const struct net_pace *pace, uint64_t idle_ns, uint64_t last_wait_ns)
{
	uint64_t wait_ns;

	if (idle_ns < pace->spin_ns)
		return 0;
	wait_ns = last_wait_ns ? last_wait_ns * 2 : FIRST_SLEEP_NS;
	return wait_ns < pace->sleep_max_ns ? wait_ns : pace->sleep_max_ns;
}

/* A mutex alone would be taken again before anybody else wakes up. */
static void let_others(struct net_thread *thread)
{
	if (!__atomic_load_n(&thread->waiting, __ATOMIC_ACQUIRE))
		return;
	pthread_mutex_unlock(&thread->lock);
	while (__atomic_load_n(&thread->waiting, __ATOMIC_ACQUIRE))
		sched_yield();
	pthread_mutex_lock(&thread->lock);
}

static void *run(void *argument)
{
	struct net_thread *const thread = argument;
	uint64_t wait_ns = 0, busy_at_ns = now_ns();

	prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS);
	pthread_mutex_lock(&thread->lock);
	while (!__atomic_load_n(&thread->is_stopping, __ATOMIC_ACQUIRE)) {
		if (thread->round(thread->engine, wait_ns)) {
			busy_at_ns = now_ns();
			wait_ns = 0;
		} else {
			wait_ns = next_wait(&thread->pace, now_ns() - busy_at_ns, wait_ns);
			/* Whoever else is to run on this processor may be who makes work. */
			if (!wait_ns)
				sched_yield();
		}
		let_others(thread);
	}
	pthread_mutex_unlock(&thread->lock);
	return NULL;
}

void net_thread_init(struct net_thread *thread, int (*round)(void *engine, uint64_t wait_ns),
		     void *engine, struct net_pace pace)
{
	*thread = (struct net_thread){ .round = round, .engine = engine, .pace = pace };
	pthread_mutex_init(&thread->lock, NULL);
}

int net_thread_start(struct net_thread *thread)
{
	sigset_t all, before;
	int error;

	thread->is_stopping = 0;
	/* Signals are for the threads of the program around this one. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread->thread, NULL, run, thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	thread->is_running = !error;
	return error;
}

void net_thread_stop(struct net_thread *thread)
{
	if (!thread->is_running)
		return;
	__atomic_store_n(&thread->is_stopping, 1, __ATOMIC_RELEASE);
	pthread_join(thread->thread, NULL);
	thread->is_running = 0;
}

void net_thread_pause(struct net_thread *thread)
{
	__atomic_add_fetch(&thread->waiting, 1, __ATOMIC_ACQ_REL);
	pthread_mutex_lock(&thread->lock);
	__atomic_sub_fetch(&thread->waiting, 1, __ATOMIC_ACQ_REL);
}

void net_thread_resume(struct net_thread *thread)
{
	pthread_mutex_unlock(&thread->lock);
}
