// SPDX-License-Identifier: GPL-2.0-or-later
#include "storage_backend_link.h"

#include <errno.h>
#include <stdlib.h>

#include "buffer_lines.h"

enum {
	BATCH = 32,
	WORDS = sizeof(struct storage_command) / sizeof(uint64_t),
};

static int open_ends(struct storage_backend_link *link)
{
	struct storage_link *const parts = &link->link;

	return channel_open_receiver(&link->commands, &parts->commands, parts->channel_bytes,
				     parts->generation) == CHANNEL_OK &&
	       channel_open_sender(&link->completions, &parts->completions,
				   parts->channel_bytes, parts->generation) == CHANNEL_OK &&
	       link->commands.slot_bytes == CHANNEL_LARGE_BYTES &&
	       link->completions.slot_bytes == CHANNEL_LARGE_BYTES;
}

struct storage_backend_link *storage_backend_link_open(uint32_t number, void *base, uint64_t bytes,
						       uint64_t generation,
						       const struct storage_device *device)
{
	struct storage_backend_link *link;
	struct storage_link parts;

	if (storage_link_open(&parts, base, bytes, generation) < 0) {
		errno = ENOENT;
		return NULL;
	}
	if (parts.block_bytes < device->block_bytes) {
		errno = EINVAL;
		return NULL;
	}
	link = calloc(1, sizeof(*link) + parts.tags * sizeof(link->operations[0]));
	if (!link)
		return NULL;
	link->link = parts;
	link->number = number;
	if (!open_ends(link)) {
		free(link);
		errno = ENOENT;
		return NULL;
	}
	return link;
}

static void answer(struct storage_backend_link *link, uint32_t tag, uint64_t serial,
		   enum storage_status status)
{
	const struct storage_completion completion = {
		.tag = (uint16_t)tag, .status = status, .serial = serial,
	};
	uint64_t words[WORDS];

	_Static_assert(sizeof(words) == sizeof(completion), "a completion is a message");
	__builtin_memcpy(words, &completion, sizeof(words));
	if (!channel_send(&link->completions, words, 1))
		link->counters.completions_lost++;
	link->has_unflushed = 1;
}

static void put_request(struct storage_backend_link *link, struct storage_ring *ring,
			const struct storage_device *device, uint32_t tag)
{
	struct io_uring_sqe *const sqe = storage_ring_next(ring);

	sqe->user_data = (uint64_t)link->number << STORAGE_LINK_SHIFT | tag;
	storage_operation_request(&link->operations[tag], device->fd, sqe);
}

static void begin(struct storage_backend_link *link, struct storage_ring *ring,
		  const struct storage_device *device, const struct storage_command *command)
{
	struct storage_operation *const operation = &link->operations[command->tag];
	const uint64_t offset = command->lba * link->link.block_bytes;

	*operation = (struct storage_operation){
		.stage = STORAGE_RUNNING,
		.opcode = command->opcode,
		.is_fua = command->flags & STORAGE_FUA || device->is_write_through,
		.slice = (uint8_t)command->slice,
		.serial = command->serial,
		.buffer = link->link.buffers + command->buffer,
		.device_at = link->slices[command->slice].offset_bytes + offset,
		.bytes = (uint64_t)command->blocks * link->link.block_bytes,
	};
	/* What this host's cache has of the buffer is of an earlier command. */
	if (command->opcode == STORAGE_WRITE)
		buffer_lines_drop(operation->buffer, operation->bytes);
	link->in_flight++;
	link->in_flight_of[operation->slice]++;
	put_request(link, ring, device, command->tag);
}

uint32_t storage_backend_link_take(struct storage_backend_link *link, struct storage_ring *ring,
				   const struct storage_device *device, uint32_t most)
{
	struct storage_command commands[BATCH];
	uint64_t words[BATCH * WORDS];
	uint32_t took;

	took = channel_receive(&link->commands, words, most < BATCH ? most : BATCH);
	__builtin_memcpy(commands, words, took * sizeof(commands[0]));
	for (uint32_t i = 0; i < took; i++) {
		const struct storage_command *const command = &commands[i];
		enum storage_status status =
			storage_command_check(command, &link->link, link->slices);

		if (status == STORAGE_OK && link->operations[command->tag].stage != STORAGE_IDLE)
			status = STORAGE_TAG_IN_USE;
		if (status == STORAGE_OK) {
			begin(link, ring, device, command);
		} else {
			link->counters.refused++;
			answer(link, command->tag, command->serial, status);
		}
	}
	return took;
}

void storage_backend_link_advance(struct storage_backend_link *link, struct storage_ring *ring,
				  const struct storage_device *device, uint32_t tag,
				  int32_t result)
{
	struct storage_operation *const operation = &link->operations[tag];
	enum storage_status status;

	if (!storage_operation_advance(operation, result, &status)) {
		put_request(link, ring, device, tag);
		return;
	}
	operation->stage = STORAGE_IDLE;
	link->in_flight--;
	link->in_flight_of[operation->slice]--;
	link->counters.completed++;
	link->counters.failed += status != STORAGE_OK;
	answer(link, tag, operation->serial, status);
}

void storage_backend_link_flush(struct storage_backend_link *link)
{
	if (link->has_unflushed)
		channel_flush(&link->completions);
	link->has_unflushed = 0;
}
