/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A channel's code on the model of hosts without coherence (tests only): a sender on
 * one host, a receiver on another, which take turns at each access as the seed says.
 */
#ifndef CHANNEL_MODEL_H
#define CHANNEL_MODEL_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#endif

enum channel_outcome {
	CHANNEL_ALL_ARRIVED = 0,
	CHANNEL_STALLED,	/* nothing more came for very long */
	CHANNEL_WRONG,		/* lost, doubled, torn or out of order */
	CHANNEL_LATE,		/* flushed, and a look found nothing new */
	CHANNEL_WASTEFUL,	/* lines were read twice though nobody wrote in between */
	CHANNEL_NEVER_OPEN,
	CHANNEL_NO_MEMORY,
};

struct channel_trial {
	uint64_t messages;
	uint32_t slots, slot_bytes;
	uint32_t batch_max;	/* messages sent or taken at once: 1 to this */
	uint32_t evict, prefetch, settle;	/* see incoherent.h */
	uint32_t turn;		/* the other goes on, in 1/1000 of the accesses */
	uint32_t maker;		/* who makes the channel: 0 the sender, 1 the receiver */
	int32_t left_out;	/* a site that does nothing, -1: none */
	uint64_t seed;
};

struct channel_verdict {
	uint32_t outcome;	/* enum channel_outcome */
	uint32_t sites;		/* how many were come by; their names: channel_model_site */
	uint64_t arrived;
	uint64_t accesses;
};

/* Both at once, each in the middle of the other's calls. */
struct channel_verdict channel_model_stream(const struct channel_trial *trial);

/* One after the other: what was flushed is there when the receiver looks next, and what
 * it took is room when the sender looks next. */
struct channel_verdict channel_model_prompt(const struct channel_trial *trial);

/* A ring at a time: while there is more to take, no line is read twice. */
struct channel_verdict channel_model_backlog(const struct channel_trial *trial);

/* The site's number `index` of the last trial: its function, and what it does. NULL: none. */
const char *channel_model_site(uint32_t index, int32_t *site, const char **does);

#endif
