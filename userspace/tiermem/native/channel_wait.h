/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waiting for messages without taking a processor for good: a receiver looks again and
 * again while messages come, and sleeps when none do, longer the longer none did.
 *
 * struct channel_pace decides how long; a thread that looks at several channels has one
 * for all of them. channel_wait is the whole loop for one channel.
 */
#ifndef CHANNEL_WAIT_H
#define CHANNEL_WAIT_H

#ifndef TIERMEM_CDEF
#include <stdint.h>

#include "channel.h"
#endif

struct channel_pace {
	uint64_t hard_ns;	/* after the last message: so long without a sleep */
	uint64_t sleep_max_ns;	/* what is added to latency, at most, when idle */
	uint64_t busy_ns;	/* when there was something last */
};

enum channel_wait_limits {
	/* An idle thread wakes up once in the longest sleep; a short one costs more than looking. */
	CHANNEL_HARD_NS = 50000,
	CHANNEL_SLEEP_MIN_NS = 5000,
	CHANNEL_SLEEP_MAX_NS = 1000000,
	/* A sleep is this share of how long there was nothing: whatever comes is seen
	 * later by that share of its own time at most, a drive's answer for one. */
	CHANNEL_SLEEP_SHARE = 8,
	/* Told to stop while messages go on coming: it is seen within this. */
	CHANNEL_STOP_NS = 1000000,
};

enum channel_woken {
	CHANNEL_CAME = 0,	/* there are messages */
	CHANNEL_TIMED_OUT = 1,
	CHANNEL_STOPPED = 2,
};

struct channel_waiter {
	struct channel_pace pace;
	int stop_fd;		/* stop when it can be read from (an eventfd); -1: never */
	uint64_t asked_ns;	/* when it was last looked at */
};

/* CLOCK_MONOTONIC. */
uint64_t channel_now_ns(void);

/* A pace with sleeps of at most sleep_max_ns (0: it never sleeps) that has just been busy. */
void channel_pace_begin(struct channel_pace *pace, uint64_t sleep_max_ns, uint64_t now_ns);

/* There was something: look again at once. */
void channel_pace_busy(struct channel_pace *pace, uint64_t now_ns);

/* There was nothing: how long to sleep before the next look; 0: not at all. */
uint64_t channel_pace_idle(const struct channel_pace *pace, uint64_t now_ns);

/* stop_fd may be -1. */
void channel_waiter_begin(struct channel_waiter *waiter, uint64_t sleep_max_ns, int stop_fd);

/*
 * Takes up to `most` messages into `messages`, `*took` of them; waits until there is one,
 * for timeout_ns at most. Tells the sender before it sleeps how much was taken. Sets the
 * timer slack of the thread that sleeps to the least. CHANNEL_STOPPED says nothing of
 * messages: there may be some.
 */
enum channel_woken channel_wait(struct channel_receiver *receiver, struct channel_waiter *waiter,
				uint64_t timeout_ns, uint64_t *messages, uint32_t most,
				uint32_t *took);

#endif
