/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the model's hosts (channel_model.c) and their trials (channel_trials.c) share. */
#ifndef CHANNEL_MODEL_STATE_H
#define CHANNEL_MODEL_STATE_H

#include <stdint.h>
#include <ucontext.h>

#include "channel.h"
#include "channel_model.h"
#include "incoherent.h"

enum {
	SENDER,
	RECEIVER,
	HOSTS,
	STACK_BYTES = 1 << 16,
	WORDS_MAX = CHANNEL_LARGE_BYTES / sizeof(uint64_t),
	BATCH_MAX = 1024,
};

struct host_memory {
	struct channel_model *model;
	uint32_t host;
};

struct channel_model_side {
	ucontext_t context;
	uint8_t stack[STACK_BYTES];
	struct host_memory memory;
	uint64_t messages[BATCH_MAX * WORDS_MAX];
	int is_done;
};

struct channel_model {
	const struct channel_trial *trial;
	struct ic_system *system;
	struct channel_model_side sides[HOSTS];
	ucontext_t home;
	int takes_turns;
	uint64_t accesses, last_progress;
	uint64_t arrived;
	uint32_t outcome;
	struct channel_sender sender;
	struct channel_receiver receiver;
};

/* NULL when out of memory. */
struct channel_model *channel_model_make(const struct channel_trial *trial);

/* What came of it; the model is gone. */
struct channel_verdict channel_model_end(struct channel_model *model);

/* From the middle of a host's work: the whole trial ends here. */
void channel_model_end_trial(struct channel_model *model, uint32_t outcome);

#endif
