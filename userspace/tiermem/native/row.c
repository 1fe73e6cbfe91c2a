// SPDX-License-Identifier: GPL-2.0-or-later
#include "row.h"

#include <stddef.h>

#include "pool_copy.h"
#include "host_memory.h"

_Static_assert(sizeof(struct row_head) == ROW_HEAD_BYTES, "the layout is shared by hosts");
_Static_assert(offsetof(struct row_head, checksum) == 24, "the layout is shared by hosts");

enum copy_state { COPY_EMPTY, COPY_WHOLE, COPY_TORN };

static uint64_t checksum(const struct row_head *head, const uint64_t *words)
{
	const uint32_t of_head = pool_checksum(0, head, offsetof(struct row_head, checksum));

	return pool_checksum(of_head, words, head->bytes);
}

static uint64_t copy_at(const struct row_place *place, uint64_t copy)
{
	return place->at + copy * place->copy_bytes;
}

void row_publish(const struct row_place *place, uint64_t sequence, const uint64_t *words,
		 uint64_t bytes)
{
	struct host_memory *const memory = place->memory;
	const uint64_t at = copy_at(place, sequence & 1);
	struct row_head head = {
		.sequence = sequence,
		.bytes = bytes,
		.generation = place->generation,
	};

	head.checksum = checksum(&head, words);
	host_store(memory, at + offsetof(struct row_head, sequence), head.sequence);
	host_store(memory, at + offsetof(struct row_head, bytes), head.bytes);
	host_store(memory, at + offsetof(struct row_head, generation), head.generation);
	host_store(memory, at + offsetof(struct row_head, checksum), head.checksum);
	for (uint64_t offset = 0; offset < bytes; offset += sizeof(uint64_t))
		host_store(memory, at + ROW_HEAD_BYTES + offset, words[offset / sizeof(uint64_t)]);
	for (uint64_t line = 0; line < ROW_HEAD_BYTES + bytes; line += ROW_LINE_BYTES)
		host_write_back(memory, at + line);
	/* All of it is in memory before the next row destroys the other copy. */
	host_fence(memory);
}

static void load_head(const struct row_place *place, uint64_t at, struct row_head *head)
{
	head->sequence = host_load(place->memory, at + offsetof(struct row_head, sequence));
	head->bytes = host_load(place->memory, at + offsetof(struct row_head, bytes));
	head->generation = host_load(place->memory, at + offsetof(struct row_head, generation));
	head->checksum = host_load(place->memory, at + offsetof(struct row_head, checksum));
}

static enum copy_state read_copy(const struct row_place *place, uint64_t copy,
				 struct row_head *head, uint64_t *words)
{
	const uint64_t at = copy_at(place, copy);

	load_head(place, at, head);
	if (!(head->sequence | head->bytes | head->generation | head->checksum))
		return COPY_EMPTY;
	if (head->generation != place->generation || (head->sequence & 1) != copy ||
	    head->bytes > place->copy_bytes - ROW_HEAD_BYTES || head->bytes % sizeof(uint64_t))
		return COPY_TORN;
	for (uint64_t offset = 0; offset < head->bytes; offset += sizeof(uint64_t))
		words[offset / sizeof(uint64_t)] =
			host_load(place->memory, at + ROW_HEAD_BYTES + offset);
	return checksum(head, words) == head->checksum ? COPY_WHOLE : COPY_TORN;
}

/* So that what is read next of these copies is as it is in memory. */
static void drop(const struct row_place *place, uint64_t first, uint64_t count)
{
	const uint64_t end = copy_at(place, first + count);

	for (uint64_t at = copy_at(place, first); at < end; at += ROW_LINE_BYTES)
		host_invalidate(place->memory, at);
	host_fence(place->memory);
}

static void load_sequences(const struct row_place *place, uint64_t *even, uint64_t *odd)
{
	*even = host_load(place->memory, copy_at(place, 0) + offsetof(struct row_head, sequence));
	*odd = host_load(place->memory, copy_at(place, 1) + offsetof(struct row_head, sequence));
}

uint64_t row_newest(const struct row_place *place)
{
	uint64_t even, odd;

	host_invalidate(place->memory, copy_at(place, 0));
	host_invalidate(place->memory, copy_at(place, 1));
	host_fence(place->memory);
	load_sequences(place, &even, &odd);
	return odd > even ? odd : even;
}

static uint64_t newer_copy(const struct row_place *place)
{
	uint64_t even, odd;

	drop(place, 0, 2);
	load_sequences(place, &even, &odd);
	return odd > even;
}

int row_read(const struct row_place *place, struct row_head *head, uint64_t *words,
	     uint64_t *torn)
{
	enum copy_state state, other;
	uint64_t copy;

	for (int look = 0; look < ROW_LOOKS; look++) {
		copy = newer_copy(place);
		state = read_copy(place, copy, head, words);
		if (state == COPY_WHOLE)
			return ROW_OK;
		/* Is being written: so the other one is whole by now, and may be a later one
		 * than this host has in its cache. */
		drop(place, !copy, 1);
		other = read_copy(place, !copy, head, words);
		*torn += (state == COPY_TORN) + (other == COPY_TORN);
		if (other == COPY_WHOLE)
			return ROW_OK;
		if (state == COPY_EMPTY && other == COPY_EMPTY)
			return ROW_NONE;
	}
	return ROW_DAMAGED;
}
