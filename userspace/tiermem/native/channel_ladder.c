// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "channel_ladder.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "channel.h"
#include "host_memory.h"
#include "channel_receive.h"

enum {
	BATCH_MAX = 256,
	WORDS_MAX = CHANNEL_LARGE_BYTES / sizeof(uint64_t),
	GENERATION = 1,
};

/* In the first word of the last message. */
#define THE_END (~0ULL >> 1)

struct measurement {
	const struct ladder_setup *setup;
	enum ladder_rung rung;
	struct ladder_result *result;
	struct host_memory memory;
	pthread_barrier_t begin;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* --- sender --- */

static void send_whole(struct measurement *m, struct channel_sender *sender,
		       const uint64_t *messages, uint32_t count)
{
	const uint32_t words = m->setup->slot_bytes / sizeof(uint64_t);
	const uint32_t at_once = m->rung == LADDER_BYPASS ? 1 : count;

	while (count) {
		const uint32_t wanted = count < at_once ? count : at_once;
		const uint32_t went = channel_send(sender, messages, wanted);

		if (m->rung == LADDER_BYPASS || went < wanted)
			channel_flush(sender);
		messages += went * words;
		count -= went;
	}
}

/* Messages that are due; the first word is the number, the second when it was due. */
static uint32_t fill(struct measurement *m, uint64_t *messages, uint64_t first, uint64_t begin_ns)
{
	const struct ladder_setup *setup = m->setup;
	const uint32_t words = setup->slot_bytes / sizeof(uint64_t);
	uint32_t count = setup->batch;
	double due = 0;

	if (setup->rate > 0) {
		due = (double)(now_ns() - begin_ns) * setup->rate / 1e9 - (double)first;
		if (due < 1)
			return 0;
		if (due < count)
			count = (uint32_t)due;
	}
	for (uint32_t i = 0; i < count; i++, messages += words) {
		messages[0] = first + i;
		messages[1] = setup->rate > 0 ?
			      begin_ns + (uint64_t)((double)(first + i + 1) * 1e9 / setup->rate) :
			      first + i;
	}
	return count;
}

static void *send_for_a_while(void *argument)
{
	struct measurement *m = argument;
	uint64_t messages[BATCH_MAX * WORDS_MAX] = { 0 };
	struct channel_sender sender;
	uint64_t sent = 0, begin_ns, end_ns;

	channel_open_sender(&sender, &m->memory, UINT64_MAX, GENERATION);
	pthread_barrier_wait(&m->begin);
	begin_ns = now_ns();
	end_ns = begin_ns + (uint64_t)(m->setup->seconds * 1e9);
	while (now_ns() < end_ns) {
		const uint32_t count = fill(m, messages, sent, begin_ns);

		send_whole(m, &sender, messages, count);
		if (count && m->setup->rate > 0)
			channel_flush(&sender);
		sent += count;
	}
	messages[0] = THE_END;
	send_whole(m, &sender, messages, 1);
	channel_flush(&sender);
	return NULL;
}

/* --- receiver --- */

static inline uint32_t take(struct measurement *m, struct channel_receiver *receiver,
			    uint64_t *messages)
{
	const int is_small = m->setup->slot_bytes == CHANNEL_SMALL_BYTES;

#define TAKE(ways)                                                                            \
	(is_small ? channel_take(receiver, messages, BATCH_MAX, CHANNEL_SMALL_BYTES, (ways)) : \
		    channel_take(receiver, messages, BATCH_MAX, CHANNEL_LARGE_BYTES, (ways)))
	switch (m->rung) {
	case LADDER_BYPASS:
		return TAKE(CHANNEL_BYPASS);
	case LADDER_PREFETCH:
		return TAKE(CHANNEL_PREFETCH);
	case LADDER_DROP_CONSUMED:
		return TAKE(CHANNEL_PREFETCH | CHANNEL_DROP_CONSUMED);
	default:
		return channel_receive(receiver, messages, BATCH_MAX);
	}
#undef TAKE
}

static void note(struct measurement *m, const uint64_t *message, uint64_t at_ns)
{
	struct ladder_result *result = m->result;

	if (message[0] != result->messages)
		result->wrong++;
	result->messages++;
	if (m->setup->rate > 0) {
		uint64_t bucket = (at_ns > message[1] ? at_ns - message[1] : 0) / LADDER_BUCKET_NS;

		if (bucket >= LADDER_BUCKETS)
			bucket = LADDER_BUCKETS - 1;
		result->latency[bucket]++;
	}
}

static void *receive_all(void *argument)
{
	struct measurement *m = argument;
	const uint32_t words = m->setup->slot_bytes / sizeof(uint64_t);
	uint64_t messages[BATCH_MAX * WORDS_MAX];
	struct channel_receiver receiver;
	uint64_t begin_ns;

	channel_open_receiver(&receiver, &m->memory, UINT64_MAX, GENERATION);
	pthread_barrier_wait(&m->begin);
	begin_ns = now_ns();
	for (;;) {
		const uint32_t took = take(m, &receiver, messages);
		const uint64_t at_ns = took && m->setup->rate > 0 ? now_ns() : 0;

		for (uint32_t i = 0; i < took; i++) {
			if (messages[i * words] == THE_END) {
				m->result->seconds = (double)(now_ns() - begin_ns) / 1e9;
				m->result->stale_looks = receiver.stale_looks;
				return NULL;
			}
			note(m, messages + i * words, at_ns);
		}
	}
}

/* --- both --- */

static int start(pthread_t *thread, uint32_t cpu, void *(*run)(void *), struct measurement *m)
{
	pthread_attr_t attributes;
	cpu_set_t only;
	int error;

	CPU_ZERO(&only);
	CPU_SET(cpu, &only);
	pthread_attr_init(&attributes);
	error = pthread_attr_setaffinity_np(&attributes, sizeof(only), &only);
	if (!error)
		error = pthread_create(thread, &attributes, run, m);
	pthread_attr_destroy(&attributes);
	return error;
}

int ladder_measure(const struct ladder_setup *setup, enum ladder_rung rung,
		   struct ladder_result *result)
{
	struct measurement m = { .setup = setup, .rung = rung, .result = result };
	pthread_t sender, receiver;
	int error;

	if (!channel_bytes(setup->slots, setup->slot_bytes) || setup->batch < 1 ||
	    setup->batch > BATCH_MAX || setup->sender_cpu >= CPU_SETSIZE ||
	    setup->receiver_cpu >= CPU_SETSIZE)
		return EINVAL;
	memset(result, 0, sizeof(*result));
	m.memory.base = setup->memory;
	channel_format(&m.memory, setup->slots, setup->slot_bytes, GENERATION);
	pthread_barrier_init(&m.begin, NULL, 2);
	error = start(&receiver, setup->receiver_cpu, receive_all, &m);
	if (error)
		return error;
	error = start(&sender, setup->sender_cpu, send_for_a_while, &m);
	if (error) {
		pthread_cancel(receiver);
		pthread_join(receiver, NULL);
		return error;
	}
	pthread_join(sender, NULL);
	pthread_join(receiver, NULL);
	pthread_barrier_destroy(&m.begin);
	return 0;
}
