// SPDX-License-Identifier: GPL-2.0-or-later
#include "channel_model_state.h"

enum {
	OLD = 1,	/* generations */
	NEW,
};

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

static uint32_t some(struct channel_model *model)
{
	return 1 + ic_draw(model->system, model->trial->batch_max);
}

/* --- making and opening --- */

static uint64_t size_of(const struct channel_model *model)
{
	return channel_bytes(model->trial->slots, model->trial->slot_bytes);
}

static void make_channel(struct channel_model *model, uint64_t generation)
{
	channel_format(&model->sides[model->trial->maker].memory, model->trial->slots,
		       model->trial->slot_bytes, generation);
}

static int open_sender(struct channel_model *model, uint64_t generation)
{
	return channel_open_sender(&model->sender, &model->sides[SENDER].memory, size_of(model),
				   generation) == CHANNEL_OK;
}

static int open_receiver(struct channel_model *model, uint64_t generation)
{
	return channel_open_receiver(&model->receiver, &model->sides[RECEIVER].memory,
				     size_of(model), generation) == CHANNEL_OK;
}

static uint32_t exchange(struct channel_model *model, uint64_t first, uint32_t count)
{
	const uint32_t words = model->trial->slot_bytes / sizeof(uint64_t);
	uint64_t *messages = model->sides[RECEIVER].messages;
	uint32_t took = 0, more;

	write_messages(model->trial, messages, first, count);
	if (channel_send(&model->sender, messages, count) != count)
		return CHANNEL_STALLED;
	channel_flush(&model->sender);
	/* Not necessarily all of them in one look, but some in each. */
	do {
		more = channel_receive(&model->receiver, messages + took * words, count - took);
		took += more;
	} while (more && took < count);
	channel_acknowledge(&model->receiver);
	if (took != count)
		return CHANNEL_LATE;
	return are_right(model->trial, messages, first, took) ? CHANNEL_ALL_ARRIVED :
								CHANNEL_WRONG;
}

/* Another channel, where the next will be, whose messages must not be taken for new. */
static uint32_t use_before(struct channel_model *model)
{
	uint32_t outcome = CHANNEL_ALL_ARRIVED;

	make_channel(model, OLD);
	if (!open_sender(model, OLD) || !open_receiver(model, OLD))
		return CHANNEL_NEVER_OPEN;
	for (uint32_t lap = 0; lap < 3 && outcome == CHANNEL_ALL_ARRIVED; lap++)
		outcome = exchange(model, lap, model->trial->slots);
	return outcome;
}

static uint32_t begin(struct channel_model *model)
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

/* --- both at once --- */

static struct channel_model *running;

static void leave(struct channel_model *model, uint32_t host)
{
	model->sides[host].is_done = 1;
	setcontext(&model->sides[1 - host].context);
}

static void send_all(void)
{
	struct channel_model *model = running;
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
	struct channel_model *model = running;
	const struct channel_trial *trial = model->trial;
	uint64_t *messages = model->sides[RECEIVER].messages;

	if (trial->maker == RECEIVER)
		make_channel(model, NEW);
	while (!open_receiver(model, NEW))
		;
	while (model->arrived < trial->messages) {
		const uint32_t took = channel_receive(&model->receiver, messages, some(model));

		if (!are_right(trial, messages, model->arrived, took))
			channel_model_end_trial(model, CHANNEL_WRONG);
		model->arrived += took;
		if (took)
			model->last_progress = model->accesses;
	}
	channel_model_end_trial(model, CHANNEL_ALL_ARRIVED);
}

static void prepare(struct channel_model *model, uint32_t host, void (*run)(void))
{
	struct channel_model_side *side = &model->sides[host];

	getcontext(&side->context);
	side->context.uc_stack.ss_sp = side->stack;
	side->context.uc_stack.ss_size = sizeof(side->stack);
	side->context.uc_link = &model->home;
	makecontext(&side->context, run, 0);
}

struct channel_verdict channel_model_stream(const struct channel_trial *trial)
{
	struct channel_model *model = channel_model_make(trial);
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
	return channel_model_end(model);
}

struct channel_verdict channel_model_prompt(const struct channel_trial *trial)
{
	struct channel_model *model = channel_model_make(trial);

	if (!model)
		return (struct channel_verdict){ .outcome = CHANNEL_NO_MEMORY };
	model->outcome = begin(model);
	while (model->outcome == CHANNEL_ALL_ARRIVED && model->arrived < trial->messages) {
		const uint32_t count = some(model);

		model->outcome = exchange(model, model->arrived, count);
		model->arrived += count;
	}
	return channel_model_end(model);
}

struct channel_verdict channel_model_backlog(const struct channel_trial *trial)
{
	struct channel_model *model = channel_model_make(trial);

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
	return channel_model_end(model);
}
