// SPDX-License-Identifier: GPL-2.0-or-later
#include "net_thread.h"

#include <signal.h>
#include <sys/prctl.h>

static void *run(void *argument)
{
	struct net_thread *const thread = argument;
	uint64_t wait_ns = 0;

	/* Of a thread's usual slack of 50 us, a short sleep would be mostly slack. */
	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	round_lock_take(&thread->lock);
	while (!__atomic_load_n(&thread->is_stopping, __ATOMIC_ACQUIRE)) {
		if (thread->round(thread->engine, wait_ns)) {
			channel_pace_busy(&thread->pace, channel_now_ns());
			wait_ns = 0;
		} else {
			/* Without sched_yield between looks: see round_lock.h. */
			wait_ns = channel_pace_idle(&thread->pace, channel_now_ns());
		}
		round_lock_let_others(&thread->lock);
	}
	round_lock_give(&thread->lock);
	return NULL;
}

void net_thread_init(struct net_thread *thread, int (*round)(void *engine, uint64_t wait_ns),
		     void *engine, struct net_pace pace)
{
	*thread = (struct net_thread){ .round = round, .engine = engine };
	channel_pace_begin(&thread->pace, pace.sleep_max_ns, channel_now_ns());
	thread->pace.hard_ns = pace.spin_ns;
	round_lock_init(&thread->lock);
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
	round_lock_pause(&thread->lock);
}

void net_thread_resume(struct net_thread *thread)
{
	round_lock_resume(&thread->lock);
}
