// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "storage_load.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "channel_wait.h"
#include "storage_ring.h"

enum { NS_A_SECOND = 1000000000 };

#define PATIENCE_NS (5ULL * NS_A_SECOND)

/* A way to the blocks. Slots are 0 to depth - 1; each has a buffer of one block. */
struct way {
	void (*submit)(struct way *way, uint32_t slot, uint64_t block);
	/* Slots whose operations have ended; waits for PATIENCE_NS at most. */
	uint32_t (*reap)(struct way *way, uint32_t *slots, uint32_t most);
	const struct storage_load *load;
	struct storage_load_result *result;
	uint64_t block_of[STORAGE_LOAD_DEPTH_MAX];
	/* by io_uring */
	struct storage_ring ring;
	int file;
	uint8_t *buffers;
	/* by way of a link */
	struct storage_frontend *frontend;
	uint32_t slot_of[STORAGE_TAGS_MAX];
};

/* --- what is in a block --- */

/* Before it is submitted: of a read's buffer, what is there if nothing comes. */
static void prepare(struct way *way, uint32_t slot, uint64_t block, uint8_t *buffer)
{
	const uint64_t first = way->load->is_write ? block : ~block;

	way->block_of[slot] = block;
	memcpy(buffer, &first, sizeof(first));
}

static void check(struct way *way, uint32_t slot, int is_good, const uint8_t *buffer)
{
	uint64_t first;

	memcpy(&first, buffer, sizeof(first));
	if (!is_good)
		way->result->failed++;
	else if (first != way->block_of[slot])
		way->result->wrong++;
}

/* --- the loop --- */

static uint64_t draw(uint64_t *state)
{
	/* xorshift64* */
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL;
}

static int run(struct way *way, uint32_t *latencies_ns)
{
	struct storage_load_result *const result = way->result;
	const struct storage_load *const load = way->load;
	uint64_t began_ns[STORAGE_LOAD_DEPTH_MAX], state = load->seed | 1;
	uint32_t ended[STORAGE_LOAD_DEPTH_MAX], submitted = 0, count = load->depth;
	const uint64_t begin_ns = channel_now_ns();
	const uint64_t end_ns = begin_ns + (uint64_t)(load->seconds * NS_A_SECOND);

	*result = (struct storage_load_result){ 0 };
	for (uint32_t slot = 0; slot < load->depth; slot++)
		ended[slot] = slot;
	for (;;) {
		for (uint32_t i = 0; i < count; i++) {
			const uint64_t now_ns = channel_now_ns();

			if (submitted == load->most || now_ns >= end_ns)
				break;
			began_ns[ended[i]] = now_ns;
			way->submit(way, ended[i], draw(&state) % load->blocks);
			submitted++;
		}
		if (result->operations == submitted)
			break;
		count = way->reap(way, ended, load->depth);
		if (!count)
			return ETIMEDOUT;
		for (uint32_t i = 0; i < count; i++)
			latencies_ns[result->operations++] =
				(uint32_t)(channel_now_ns() - began_ns[ended[i]]);
	}
	result->seconds = (double)(channel_now_ns() - begin_ns) / NS_A_SECOND;
	return 0;
}

static int is_allowed(const struct storage_load *load)
{
	return load->depth && load->depth <= STORAGE_LOAD_DEPTH_MAX && load->blocks;
}

/* --- by io_uring --- */

static void submit_direct(struct way *way, uint32_t slot, uint64_t block)
{
	struct io_uring_sqe *const sqe = storage_ring_next(&way->ring);
	uint8_t *const buffer = way->buffers + (uint64_t)slot * STORAGE_LOAD_BLOCK_BYTES;

	prepare(way, slot, block, buffer);
	sqe->opcode = way->load->is_write ? IORING_OP_WRITE : IORING_OP_READ;
	sqe->fd = way->file;
	sqe->off = block * STORAGE_LOAD_BLOCK_BYTES;
	sqe->addr = (uint64_t)(uintptr_t)buffer;
	sqe->len = STORAGE_LOAD_BLOCK_BYTES;
	sqe->user_data = slot;
}

static uint32_t reap_direct(struct way *way, uint32_t *slots, uint32_t most)
{
	uint32_t found = 0;
	uint64_t slot;
	int32_t result;

	storage_ring_enter(&way->ring, PATIENCE_NS);
	while (found < most && storage_ring_take(&way->ring, &slot, &result)) {
		slots[found++] = (uint32_t)slot;
		check(way, (uint32_t)slot, result == STORAGE_LOAD_BLOCK_BYTES,
		      way->buffers + slot * STORAGE_LOAD_BLOCK_BYTES);
	}
	return found;
}

int storage_load_direct(const struct storage_load *load, int file, uint32_t *latencies_ns,
			struct storage_load_result *result)
{
	const size_t bytes = (size_t)load->depth * STORAGE_LOAD_BLOCK_BYTES;
	struct way way = {
		.submit = submit_direct, .reap = reap_direct, .load = load, .result = result,
		.file = file,
	};
	int error;

	if (!is_allowed(load))
		return EINVAL;
	way.buffers = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (way.buffers == MAP_FAILED)
		return errno;
	error = -storage_ring_open(&way.ring, STORAGE_LOAD_DEPTH_MAX,
				   2 * STORAGE_LOAD_DEPTH_MAX, 0);
	if (!error) {
		error = run(&way, latencies_ns);
		storage_ring_close(&way.ring);
	}
	munmap(way.buffers, bytes);
	return error;
}

/* --- by way of a link --- */

static void submit_linked(struct way *way, uint32_t slot, uint64_t block)
{
	const struct storage_request request = {
		.opcode = way->load->is_write ? STORAGE_WRITE : STORAGE_READ,
		.lba = block,
		.blocks = 1,
	};
	/* There is a tag for each slot. */
	const uint32_t tag = (uint32_t)storage_frontend_take_tag(way->frontend);

	prepare(way, slot, block, storage_frontend_buffer(way->frontend, tag));
	way->slot_of[tag] = slot;
	storage_frontend_submit(way->frontend, tag, &request);
}

static uint32_t reap_linked(struct way *way, uint32_t *slots, uint32_t most)
{
	struct storage_result results[STORAGE_LOAD_DEPTH_MAX];
	const uint32_t found = storage_frontend_wait(way->frontend, results, most, PATIENCE_NS);

	for (uint32_t i = 0; i < found; i++) {
		slots[i] = way->slot_of[results[i].tag];
		check(way, slots[i], results[i].status == STORAGE_OK,
		      storage_frontend_buffer(way->frontend, results[i].tag));
		storage_frontend_release(way->frontend, results[i].tag);
	}
	return found;
}

int storage_load_linked(const struct storage_load *load, struct storage_frontend *frontend,
			uint32_t *latencies_ns, struct storage_load_result *result)
{
	struct way way = {
		.submit = submit_linked, .reap = reap_linked, .load = load, .result = result,
		.frontend = frontend,
	};

	if (!is_allowed(load) || load->depth > storage_frontend_tags(frontend) ||
	    storage_frontend_block_bytes(frontend) != STORAGE_LOAD_BLOCK_BYTES)
		return EINVAL;
	return run(&way, latencies_ns);
}
