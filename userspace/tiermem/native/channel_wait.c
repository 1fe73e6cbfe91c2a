// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "channel_wait.h"

#include <immintrin.h>
#include <poll.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <time.h>

enum { NS_A_SECOND = 1000000000 };

uint64_t channel_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_A_SECOND + (uint64_t)now.tv_nsec;
}

/* --- pace --- */

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void channel_pace_begin(struct channel_pace *pace, uint64_t sleep_max_ns, uint64_t now_ns)
{
	*pace = (struct channel_pace){
		.hard_ns = CHANNEL_HARD_NS,
		.sleep_max_ns = sleep_max_ns,
		.busy_ns = now_ns,
	};
}

void channel_pace_busy(struct channel_pace *pace, uint64_t now_ns)
{
	pace->busy_ns = now_ns;
}

uint64_t channel_pace_idle(const struct channel_pace *pace, uint64_t now_ns)
{
	const uint64_t idle_ns = now_ns - pace->busy_ns;
	const uint64_t share_ns = idle_ns / CHANNEL_SLEEP_SHARE;

	if (idle_ns < pace->hard_ns)
		return 0;
	return least(share_ns < CHANNEL_SLEEP_MIN_NS ? CHANNEL_SLEEP_MIN_NS : share_ns,
		     pace->sleep_max_ns);
}

/* --- waiting --- */

void channel_waiter_begin(struct channel_waiter *waiter, uint64_t sleep_max_ns, int stop_fd)
{
	const uint64_t now_ns = channel_now_ns();

	channel_pace_begin(&waiter->pace, sleep_max_ns, now_ns);
	waiter->stop_fd = stop_fd;
	waiter->asked_ns = 0;
}

/* Of a thread's usual slack of 50 us, a short sleep would be mostly slack. */
static void be_punctual(void)
{
	static _Thread_local int is_punctual;

	if (!is_punctual)
		prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	is_punctual = 1;
}

/* Whether it was told to stop. */
static int sleep_for(struct channel_waiter *waiter, uint64_t sleep_ns)
{
	const struct timespec timeout = {
		.tv_sec = (time_t)(sleep_ns / NS_A_SECOND),
		.tv_nsec = (long)(sleep_ns % NS_A_SECOND),
	};
	/* poll passes over a file that is -1. */
	struct pollfd stop = { .fd = waiter->stop_fd, .events = POLLIN };

	be_punctual();
	return ppoll(&stop, 1, &timeout, NULL) > 0;
}

static int is_stopped(struct channel_waiter *waiter, uint64_t now_ns)
{
	if (now_ns - waiter->asked_ns < CHANNEL_STOP_NS)
		return 0;
	waiter->asked_ns = now_ns;
	return sleep_for(waiter, 0);
}

static void tell_what_was_taken(struct channel_receiver *receiver)
{
	if (receiver->acknowledged != receiver->next)
		channel_acknowledge(receiver);
}

enum channel_woken channel_wait(struct channel_receiver *receiver, struct channel_waiter *waiter,
				uint64_t timeout_ns, uint64_t *messages, uint32_t most,
				uint32_t *took)
{
	const uint64_t begin_ns = channel_now_ns();
	uint64_t now_ns = begin_ns, sleep_ns;

	*took = 0;
	while (!is_stopped(waiter, now_ns)) {
		*took = channel_receive(receiver, messages, most);
		if (*took) {
			channel_pace_busy(&waiter->pace, now_ns);
			return CHANNEL_CAME;
		}
		if (now_ns - begin_ns >= timeout_ns)
			return CHANNEL_TIMED_OUT;
		sleep_ns = least(channel_pace_idle(&waiter->pace, now_ns),
				 timeout_ns - (now_ns - begin_ns));
		if (sleep_ns) {
			tell_what_was_taken(receiver);
			if (sleep_for(waiter, sleep_ns))
				return CHANNEL_STOPPED;
		} else {
			_mm_pause();
		}
		now_ns = channel_now_ns();
	}
	return CHANNEL_STOPPED;
}
