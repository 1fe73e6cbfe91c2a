// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef CHANNEL_MODEL
#define CHANNEL_MODEL
#endif
#include "channel_model.h"

#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "channel.h"
#include "channel_memory.h"
#include "incoherent.h"

enum {
	SENDER,
	RECEIVER,
	HOSTS,
	SITES_MAX = 64,
	STACK_BYTES = 1 << 16,
	WORDS_MAX = CHANNEL_LARGE_BYTES / sizeof(uint64_t),
	BATCH_MAX = 1024,
	/* Accesses of one host without a message: it waits for what will not come. */
	PATIENCE = 200000,
	FENCE_TURN = 500,
	OLD = 1,	/* generations */
	NEW,
};

struct channel_memory {
	struct model *model;
	uint32_t host;
};

struct side {
	ucontext_t context;
	uint8_t stack[STACK_BYTES];
	struct channel_memory memory;
	uint64_t messages[BATCH_MAX * WORDS_MAX];
	int is_done;
};

struct model {
	const struct channel_trial *trial;
	struct ic_system *system;
	struct side sides[HOSTS];
	ucontext_t home;
	int takes_turns;
	uint64_t accesses, last_progress;
	uint64_t arrived;
	uint32_t outcome;
	struct channel_sender sender;
	struct channel_receiver receiver;
};

static struct {
	const char *in, *does;
	int32_t site;
} sites[SITES_MAX];
static uint32_t nr_sites;

const char *channel_model_site(uint32_t index, int32_t *site, const char **does)
{
	if (index >= nr_sites)
		return NULL;
	*site = sites[index].site;
	*does = sites[index].does;
	return sites[index].in;
}

/* --- turns --- */

static void end_trial(struct model *model, uint32_t outcome)
{
	model->outcome = outcome;
	setcontext(&model->home);
}

static void pass_turn(struct channel_memory *memory, uint32_t permille)
{
	struct model *model = memory->model;
	const uint32_t other = 1 - memory->host;

	if (model->takes_turns && !model->sides[other].is_done &&
	    ic_draw(model->system, 1000) < permille)
		swapcontext(&model->sides[memory->host].context, &model->sides[other].context);
}

static void step(struct channel_memory *memory)
{
	struct model *model = memory->model;

	if (++model->accesses - model->last_progress > PATIENCE && model->takes_turns)
		end_trial(model, CHANNEL_STALLED);
	pass_turn(memory, model->trial->turn);
}

/* --- channel_memory.h --- */

uint64_t channel_load(struct channel_memory *memory, uint64_t at)
{
	uint64_t value;

	step(memory);
	ic_load(memory->model->system, memory->host, at, &value, sizeof(value));
	return value;
}

void channel_store(struct channel_memory *memory, uint64_t at, uint64_t value)
{
	step(memory);
	ic_store(memory->model->system, memory->host, at, &value, sizeof(value));
}

void channel_prefetch(struct channel_memory *memory, uint64_t at)
{
	uint64_t value;

	step(memory);
	ic_load(memory->model->system, memory->host, at, &value, sizeof(value));
}

static int is_left_out(struct channel_memory *memory, int site, const char *in, const char *does)
{
	uint32_t i = 0;

	step(memory);
	while (i < nr_sites && sites[i].site != site)
		i++;
	if (i == nr_sites && nr_sites < SITES_MAX) {
		sites[nr_sites].in = in;
		sites[nr_sites].does = does;
		sites[nr_sites++].site = site;
	}
	return memory->model->trial->left_out == site;
}

void channel_write_back_at(struct channel_memory *memory, uint64_t at, int site, const char *in)
{
	if (!is_left_out(memory, site, in, "write back"))
		ic_write_back(memory->model->system, memory->host, at, 1);
}

void channel_invalidate_at(struct channel_memory *memory, uint64_t at, int site, const char *in)
{
	if (!is_left_out(memory, site, in, "invalidate"))
		ic_invalidate(memory->model->system, memory->host, at, 1);
}

void channel_fence_at(struct channel_memory *memory, int site, const char *in)
{
	/* Before a fence most can go wrong. */
	pass_turn(memory, FENCE_TURN);
	if (!is_left_out(memory, site, in, "fence"))
		ic_fence(memory->model->system, memory->host);
}

/* --- messages --- */

static uint64_t word_of(uint64_t message, uint32_t word)
{
	uint64_t x = message * WORDS_MAX + word + 1;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return (x ^ x >> 31) & ~(1ULL << 63);
}

static void write_messages(const struct channel_trial *trial, uint64_t *into, uint64_t first,
			   uint32_t count)
{
	const uint32_t words = trial->slot_bytes / sizeof(uint64_t);

	for (uint32_t i = 0; i < count * words; i++)
		into[i] = word_of(first + i / words, i % words);
}

static int are_right(const struct channel_trial *trial, const uint64_t *found, uint64_t first,
		     uint32_t count)
{
	const uint32_t words = trial->slot_bytes / sizeof(uint64_t);

	for (uint32_t i = 0; i < count * words; i++)
		if (found[i] != word_of(first + i / words, i % words))
			return 0;
	return 1;
}

static uint32_t some(struct model *model)
{
	return 1 + ic_draw(model->system, model->trial->batch_max);
}

/* --- the model --- */

static uint64_t size_of(const struct model *model)
{
	return channel_bytes(model->trial->slots, model->trial->slot_bytes);
}

static struct model *make_model(const struct channel_trial *trial)
{
	const struct ic_chances chances = {
		.evict = trial->evict,
		.prefetch = trial->prefetch,
		.settle = trial->settle,
	};
	struct model *model = calloc(1, sizeof(*model));

	nr_sites = 0;
	if (!model)
		return NULL;
	model->trial = trial;
	model->system = ic_create(channel_bytes(trial->slots, trial->slot_bytes), HOSTS, chances,
				  trial->seed);
	if (!model->system) {
		free(model);
		return NULL;
	}
	for (uint32_t host = 0; host < HOSTS; host++)
		model->sides[host].memory = (struct channel_memory){ model, host };
	return model;
}

/* --- making and opening --- */

static void make_channel(struct model *model, uint64_t generation)
{
	channel_format(&model->sides[model->trial->maker].memory, model->trial->slots,
		       model->trial->slot_bytes, generation);
}

static int open_sender(struct model *model, uint64_t generation)
{
	return channel_open_sender(&model->sender, &model->sides[SENDER].memory, size_of(model),
				   generation) == CHANNEL_OK;
}

static int open_receiver(struct model *model, uint64_t generation)
{
	return channel_open_receiver(&model->receiver, &model->sides[RECEIVER].memory,
				     size_of(model), generation) == CHANNEL_OK;
}

static uint32_t exchange(struct model *model, uint64_t first, uint32_t count)
{
	uint64_t *messages = model->sides[RECEIVER].messages;
	uint32_t took;

	write_messages(model->trial, messages, first, count);
	if (channel_send(&model->sender, messages, count) != count)
		return CHANNEL_STALLED;
	channel_flush(&model->sender);
	took = channel_receive(&model->receiver, messages, count);
	channel_acknowledge(&model->receiver);
	if (took != count)
		return CHANNEL_LATE;
	return are_right(model->trial, messages, first, took) ? CHANNEL_ALL_ARRIVED :
								CHANNEL_WRONG;
}

/* Another channel, where the next will be, whose messages must not be taken for new. */
static uint32_t use_before(struct model *model)
{
	uint32_t outcome = CHANNEL_ALL_ARRIVED;

	make_channel(model, OLD);
	if (!open_sender(model, OLD) || !open_receiver(model, OLD))
		return CHANNEL_NEVER_OPEN;
	for (uint32_t lap = 0; lap < 3 && outcome == CHANNEL_ALL_ARRIVED; lap++)
		outcome = exchange(model, lap, model->trial->slots);
	return outcome;
}

static uint32_t begin(struct model *model)
{
	const uint32_t outcome = use_before(model);

	if (outcome != CHANNEL_ALL_ARRIVED)
		return outcome;
	if (open_sender(model, NEW) || open_receiver(model, NEW))
		return CHANNEL_WRONG;
	make_channel(model, NEW);
	return open_sender(model, NEW) && open_receiver(model, NEW) ? CHANNEL_ALL_ARRIVED :
								     CHANNEL_NEVER_OPEN;
}

static struct channel_verdict end_model(struct model *model)
{
	const struct channel_verdict verdict = {
		.outcome = model->outcome,
		.sites = nr_sites,
		.arrived = model->arrived,
		.accesses = model->accesses,
	};

	ic_destroy(model->system);
	free(model);
	return verdict;
}

/* --- both at once --- */

static struct model *running;

static void leave(struct model *model, uint32_t host)
{
	model->sides[host].is_done = 1;
	setcontext(&model->sides[1 - host].context);
}

static void send_all(void)
{
	struct model *model = running;
	const struct channel_trial *trial = model->trial;
	uint64_t *messages = model->sides[SENDER].messages;

	if (trial->maker == SENDER)
		make_channel(model, NEW);
	while (!open_sender(model, NEW))
		;
	for (uint64_t sent = 0; sent < trial->messages;) {
		const uint64_t left = trial->messages - sent;
		uint32_t count = some(model), went;

		if (count > left)
			count = (uint32_t)left;
		write_messages(trial, messages, sent, count);
		went = channel_send(&model->sender, messages, count);
		sent += went;
		if (went < count || sent == trial->messages || ic_draw(model->system, 2))
			channel_flush(&model->sender);
	}
	leave(model, SENDER);
}

static void take_all(void)
{
	struct model *model = running;
	const struct channel_trial *trial = model->trial;
	uint64_t *messages = model->sides[RECEIVER].messages;

	if (trial->maker == RECEIVER)
		make_channel(model, NEW);
	while (!open_receiver(model, NEW))
		;
	while (model->arrived < trial->messages) {
		const uint32_t took = channel_receive(&model->receiver, messages, some(model));

		if (!are_right(trial, messages, model->arrived, took))
			end_trial(model, CHANNEL_WRONG);
		model->arrived += took;
		if (took)
			model->last_progress = model->accesses;
	}
	end_trial(model, CHANNEL_ALL_ARRIVED);
}

static void prepare(struct model *model, uint32_t host, void (*run)(void))
{
	struct side *side = &model->sides[host];

	getcontext(&side->context);
	side->context.uc_stack.ss_sp = side->stack;
	side->context.uc_stack.ss_size = sizeof(side->stack);
	side->context.uc_link = &model->home;
	makecontext(&side->context, run, 0);
}

struct channel_verdict channel_model_stream(const struct channel_trial *trial)
{
	struct model *model = make_model(trial);
	volatile int has_begun = 0;

	if (!model)
		return (struct channel_verdict){ .outcome = CHANNEL_NO_MEMORY };
	model->outcome = use_before(model);
	if (model->outcome == CHANNEL_ALL_ARRIVED) {
		running = model;
		prepare(model, SENDER, send_all);
		prepare(model, RECEIVER, take_all);
		model->takes_turns = 1;
		model->last_progress = model->accesses;
		getcontext(&model->home);
		if (!has_begun) {
			has_begun = 1;
			setcontext(&model->sides[SENDER].context);
		}
	}
	return end_model(model);
}

struct channel_verdict channel_model_prompt(const struct channel_trial *trial)
{
	struct model *model = make_model(trial);

	if (!model)
		return (struct channel_verdict){ .outcome = CHANNEL_NO_MEMORY };
	model->outcome = begin(model);
	while (model->outcome == CHANNEL_ALL_ARRIVED && model->arrived < trial->messages) {
		const uint32_t count = some(model);

		model->outcome = exchange(model, model->arrived, count);
		model->arrived += count;
	}
	return end_model(model);
}

struct channel_verdict channel_model_backlog(const struct channel_trial *trial)
{
	struct model *model = make_model(trial);

	if (!model)
		return (struct channel_verdict){ .outcome = CHANNEL_NO_MEMORY };
	model->outcome = begin(model);
	while (model->outcome == CHANNEL_ALL_ARRIVED && model->arrived < trial->messages) {
		const uint64_t stale_before = model->receiver.stale_looks;

		model->outcome = exchange(model, model->arrived, trial->slots);
		model->arrived += trial->slots;
		/* Once: what was prefetched at the end of the ring before. */
		if (model->receiver.stale_looks > stale_before + 1 &&
		    model->outcome == CHANNEL_ALL_ARRIVED)
			model->outcome = CHANNEL_WASTEFUL;
	}
	return end_model(model);
}
