// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HOST_MODEL
#define HOST_MODEL
#endif
#include "row_model.h"

#include <setjmp.h>
#include <stdlib.h>

#include "host_memory.h"
#include "incoherent.h"
#include "model_sites.h"
#include "row.h"

enum {
	WRITER,
	READER,
	HOSTS,
	WORDS_MAX = 64,
	COPY_BYTES = ROW_HEAD_BYTES + WORDS_MAX * 8 + ROW_LINE_BYTES / 2,
	GENERATION = 77,
};

_Static_assert(COPY_BYTES % ROW_LINE_BYTES == 0, "copies are whole lines");

struct host_memory {
	struct row_model *model;
	uint32_t host;
};

struct row_model {
	const struct row_trial *trial;
	struct ic_system *system;
	struct host_memory memory[HOSTS];
	jmp_buf death;
	uint32_t writer_accesses, depth;
	uint32_t begun, published, seen;
	struct row_verdict verdict;
};

const char *row_model_site(uint32_t index, int32_t *site, const char **does)
{
	return model_sites_get(index, site, does);
}

static struct row_place place_of(struct row_model *model, uint32_t host)
{
	return (struct row_place){ &model->memory[host], 0, COPY_BYTES, GENERATION };
}

/* --- what a host does, and what must be so --- */

static uint64_t word_of(uint64_t sequence, uint64_t index)
{
	return (sequence * 1000003 + index + 1) * 0x9e3779b97f4a7c15ULL;
}

static uint64_t words_of(const struct row_model *model, uint64_t sequence)
{
	return 1 + word_of(sequence, WORDS_MAX) % model->trial->words;
}

static void publish_next(struct row_model *model)
{
	const struct row_place place = place_of(model, WRITER);
	const uint64_t sequence = ++model->begun;
	uint64_t words[WORDS_MAX];

	for (uint64_t i = 0; i < words_of(model, sequence); i++)
		words[i] = word_of(sequence, i);
	row_publish(&place, sequence, words, words_of(model, sequence) * sizeof(uint64_t));
	model->published = sequence;
}

static int is_right(const struct row_model *model, const struct row_head *head,
		    const uint64_t *words)
{
	if (head->sequence > model->begun || head->sequence < model->seen ||
	    head->bytes != words_of(model, head->sequence) * sizeof(uint64_t))
		return 0;
	for (uint64_t i = 0; i < head->bytes / sizeof(uint64_t); i++)
		if (words[i] != word_of(head->sequence, i))
			return 0;
	return 1;
}

static void read_once(struct row_model *model)
{
	const struct row_place place = place_of(model, READER);
	const uint32_t published = model->published, begun = model->begun;
	uint64_t words[WORDS_MAX + ROW_LINE_BYTES / 8];
	struct row_head head;
	int result;

	model->verdict.reads++;
	if (row_newest(&place) < published) {
		model->verdict.outcome = ROW_LATE;
		return;
	}
	result = row_read(&place, &head, words, &model->verdict.torn);
	if (result != ROW_OK) {
		/* Both copies were in motion, if the writer went on meanwhile. */
		if (published && model->begun == begun)
			model->verdict.outcome = ROW_LOST;
		return;
	}
	if (!is_right(model, &head, words))
		model->verdict.outcome = ROW_WRONG;
	else if (head.sequence < published)
		model->verdict.outcome = ROW_LATE;
	else
		model->seen = head.sequence;
}

/* --- host_memory.h --- */

static void step(struct host_memory *memory)
{
	struct row_model *const model = memory->model;

	if (memory->host == WRITER && ++model->writer_accesses == model->trial->dies_at)
		longjmp(model->death, 1);
	if (model->depth || ic_draw(model->system, 1000) >= model->trial->turn)
		return;
	model->depth++;
	if (memory->host == WRITER)
		read_once(model);
	else if (model->begun == model->published && model->begun < model->trial->rows)
		publish_next(model);
	model->depth--;
}

uint64_t host_load(struct host_memory *memory, uint64_t at)
{
	uint64_t value;

	step(memory);
	ic_load(memory->model->system, memory->host, at, &value, sizeof(value));
	return value;
}

void host_store(struct host_memory *memory, uint64_t at, uint64_t value)
{
	step(memory);
	ic_store(memory->model->system, memory->host, at, &value, sizeof(value));
}

static int is_left_out(struct host_memory *memory, int site, const char *in, const char *does)
{
	step(memory);
	model_sites_note(site, in, does);
	return memory->model->trial->left_out == site;
}

void host_write_back_at(struct host_memory *memory, uint64_t at, int site, const char *in)
{
	if (!is_left_out(memory, site, in, "write back"))
		ic_write_back(memory->model->system, memory->host, at, 1);
}

void host_invalidate_at(struct host_memory *memory, uint64_t at, int site, const char *in)
{
	if (!is_left_out(memory, site, in, "invalidate"))
		ic_invalidate(memory->model->system, memory->host, at, 1);
}

void host_fence_at(struct host_memory *memory, int site, const char *in)
{
	if (!is_left_out(memory, site, in, "fence"))
		ic_fence(memory->model->system, memory->host);
}

/* --- a trial --- */

static void run(struct row_model *model)
{
	if (setjmp(model->death)) {
		ic_lose(model->system, WRITER);
		/* Nothing can be in the middle of anything now. */
		model->depth = 1;
		read_once(model);
		return;
	}
	while (model->published < model->trial->rows && !model->verdict.outcome) {
		publish_next(model);
		read_once(model);
	}
}

struct row_verdict row_model_run(const struct row_trial *trial)
{
	const struct ic_chances chances = { trial->evict, trial->prefetch, trial->settle };
	struct row_model *const model = calloc(1, sizeof(*model));
	struct row_verdict verdict = { .outcome = ROW_NO_MEMORY };

	model_sites_forget();
	if (!model || trial->words < 1 || trial->words > WORDS_MAX)
		goto out;
	model->trial = trial;
	model->system = ic_create(2 * COPY_BYTES, HOSTS, chances, trial->seed);
	if (!model->system)
		goto out;
	for (uint32_t host = 0; host < HOSTS; host++)
		model->memory[host] = (struct host_memory){ model, host };
	run(model);
	verdict = model->verdict;
	verdict.sites = model_sites_count();
	verdict.published = model->published;
	ic_destroy(model->system);
out:
	free(model);
	return verdict;
}
