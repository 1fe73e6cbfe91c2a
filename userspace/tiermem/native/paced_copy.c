// SPDX-License-Identifier: GPL-2.0-or-later
#include "paced_copy.h"

#include <errno.h>
#include <immintrin.h>
#include <stddef.h>
#include <time.h>

#include "pool_copy.h"

#define NS_PER_S 1000000000ull

/* One copy's place on a memory's schedule. */
struct turn {
	struct copy_pace *pace;
	uint64_t end_ns;	/* of its last piece, or when the copy began */
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void sleep_until(uint64_t moment_ns)
{
	const struct timespec moment = {
		.tv_sec = (time_t)(moment_ns / NS_PER_S),
		.tv_nsec = (long)(moment_ns % NS_PER_S),
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &moment, NULL) == EINTR)
		;
}

static void wait_until(uint64_t moment_ns)
{
	if (moment_ns > now_ns() + PACED_AHEAD_NS)
		sleep_until(moment_ns - PACED_AWAKE_NS);
	while (now_ns() < moment_ns)
		_mm_pause();
}

static uint64_t piece_bytes(const struct copy_pace *pace)
{
	const uint64_t bytes = pace->bytes_per_s / (NS_PER_S / PACED_PIECE_NS);

	if (bytes < PACED_PIECE_MIN_BYTES)
		return PACED_PIECE_MIN_BYTES;
	return bytes < PACED_PIECE_MAX_BYTES ? bytes : PACED_PIECE_MAX_BYTES;
}

/*
 * Takes the next stretch of the schedule. It may begin in the past, where this copy's
 * last one ended: a copy that slept too long makes up for it, one that begins does not.
 */
static void take_turn(struct turn *turn, uint64_t bytes)
{
	struct copy_pace *pace = turn->pace;
	const uint64_t long_ns = (bytes * NS_PER_S + pace->bytes_per_s - 1) / pace->bytes_per_s;
	uint64_t busy = __atomic_load_n(&pace->busy_until_ns, __ATOMIC_RELAXED);
	uint64_t end;

	do {
		end = (busy > turn->end_ns ? busy : turn->end_ns) + long_ns;
	} while (!__atomic_compare_exchange_n(&pace->busy_until_ns, &busy, end, 1,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	turn->end_ns = end;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Returns when the copy may be done. */
static uint64_t copy_in_turns(struct turn *turns, int count, uint8_t *to, const uint8_t *from,
			      uint64_t bytes)
{
	uint64_t step = PACED_PIECE_MAX_BYTES;
	uint64_t due_ns = 0;

	for (int i = 0; i < count; i++)
		step = smaller(step, piece_bytes(turns[i].pace));
	for (uint64_t done = 0; done < bytes; done += step) {
		const uint64_t piece = smaller(step, bytes - done);

		if (due_ns > now_ns() + PACED_AHEAD_NS)
			sleep_until(due_ns - PACED_AWAKE_NS);
		for (int i = 0; i < count; i++) {
			take_turn(&turns[i], piece);
			if (turns[i].end_ns > due_ns)
				due_ns = turns[i].end_ns;
		}
		pool_copy_stream(to + done, from + done, piece);
	}
	return due_ns;
}

void paced_copy(struct copy_pace *target, struct copy_pace *source, void *to, const void *from,
		uint64_t bytes)
{
	struct copy_pace *const paces[] = { target, source };
	struct turn turns[2];
	const uint64_t begin_ns = now_ns();
	uint64_t due_ns, latency_ns = 0;
	int count = 0;

	for (int i = 0; i < 2; i++) {
		if (!paces[i])
			continue;
		turns[count++] = (struct turn){ .pace = paces[i], .end_ns = begin_ns };
		latency_ns += paces[i]->latency_ns;
	}
	if (!count) {
		pool_copy_stream(to, from, bytes);
		pool_copy_fence();
		return;
	}
	due_ns = copy_in_turns(turns, count, to, from, bytes);
	pool_copy_fence();
	if (bytes)
		wait_until(due_ns + latency_ns);
}

void paced_transfer(struct copy_pace *pace, uint64_t begun_ns, uint64_t bytes)
{
	struct turn turn = { .pace = pace, .end_ns = begun_ns };

	if (!pace || !bytes)
		return;
	take_turn(&turn, bytes);
	wait_until(turn.end_ns + pace->latency_ns);
}
