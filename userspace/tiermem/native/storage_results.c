// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "storage_frontend_state.h"

#include <immintrin.h>
#include <sys/prctl.h>
#include <time.h>

#include "buffer_lines.h"

enum {
	BATCH = 32,
	WORDS = sizeof(struct storage_completion) / sizeof(uint64_t),
	TIMEOUT_LOOKS = 16,	/* for commands whose time is over, in that time */
	NS_A_SECOND = 1000000000,
};

/* Whether the completion is of a command that the caller waits for. */
static int take_completion(struct storage_frontend *frontend,
			   const struct storage_completion *completion)
{
	struct storage_tag *tag = find_tag(frontend, completion->tag, TAG_PENDING);

	if (!tag)
		tag = find_tag(frontend, completion->tag, TAG_LOST);
	if (!tag || completion->serial != tag->command.serial) {
		frontend->counters.refused++;
		return 0;
	}
	if (tag->state == TAG_LOST) {
		frontend->lost--;
		free_tag(frontend, completion->tag);
		return 0;
	}
	tag->state = TAG_HELD;
	frontend->pending--;
	frontend->counters.completed++;
	/* What was prefetched of the buffer meanwhile is not what was read. */
	if (tag->command.opcode == STORAGE_READ)
		buffer_lines_drop(frontend->link.buffers + tag->command.buffer,
			    (uint64_t)tag->command.blocks * frontend->link.block_bytes);
	return 1;
}

/* That status is this end's own: the tag would not be given back. */
static uint16_t backend_status(uint16_t status)
{
	return status == STORAGE_PATH_ERROR ? STORAGE_INTERNAL_ERROR : status;
}

static uint32_t take_completions(struct storage_frontend *frontend, struct storage_result *results,
				 uint32_t most)
{
	struct storage_completion completions[BATCH];
	uint64_t words[BATCH * WORDS];
	uint32_t took, found = 0;

	took = channel_receive(&frontend->completions, words, most < BATCH ? most : BATCH);
	__builtin_memcpy(completions, words, took * sizeof(completions[0]));
	for (uint32_t i = 0; i < took; i++) {
		const struct storage_completion *const completion = &completions[i];

		if (take_completion(frontend, completion))
			results[found++] = (struct storage_result){
				.tag = completion->tag,
				.status = backend_status(completion->status),
			};
	}
	return found;
}

static uint32_t take_timed_out(struct storage_frontend *frontend, struct storage_result *results,
			       uint32_t most)
{
	const uint64_t now_ns = channel_now_ns();
	uint32_t found = 0;

	if (!frontend->timeout_ns || !frontend->pending ||
	    now_ns - frontend->looked_ns < frontend->timeout_ns / TIMEOUT_LOOKS)
		return 0;
	for (uint32_t number = 0; number < frontend->link.tags && found < most; number++) {
		struct storage_tag *const tag = &frontend->tags[number];

		if (tag->state != TAG_PENDING || now_ns - tag->begin_ns < frontend->timeout_ns)
			continue;
		tag->state = TAG_LOST;
		frontend->lost++;
		frontend->pending--;
		frontend->counters.timed_out++;
		results[found++] = (struct storage_result){
			.tag = (uint16_t)number, .status = STORAGE_PATH_ERROR,
		};
	}
	if (found < most)
		frontend->looked_ns = now_ns;
	return found;
}

uint32_t storage_frontend_poll(struct storage_frontend *frontend, struct storage_result *results,
			       uint32_t most)
{
	const uint32_t found = take_completions(frontend, results, most);

	return found ? found : take_timed_out(frontend, results, most);
}

static void sleep_for(uint64_t sleep_ns)
{
	const struct timespec time = {
		.tv_sec = (time_t)(sleep_ns / NS_A_SECOND),
		.tv_nsec = (long)(sleep_ns % NS_A_SECOND),
	};

	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	nanosleep(&time, NULL);
}

uint32_t storage_frontend_wait(struct storage_frontend *frontend, struct storage_result *results,
			       uint32_t most, uint64_t timeout_ns)
{
	const uint64_t begin_ns = channel_now_ns();
	uint64_t now_ns = begin_ns, sleep_ns;
	uint32_t found;

	channel_pace_busy(&frontend->pace, now_ns);
	for (;;) {
		found = storage_frontend_poll(frontend, results, most);
		if (found || now_ns - begin_ns >= timeout_ns)
			return found;
		sleep_ns = channel_pace_idle(&frontend->pace, now_ns);
		if (sleep_ns > timeout_ns - (now_ns - begin_ns))
			sleep_ns = timeout_ns - (now_ns - begin_ns);
		if (sleep_ns)
			sleep_for(sleep_ns);
		else
			_mm_pause();
		now_ns = channel_now_ns();
	}
}
