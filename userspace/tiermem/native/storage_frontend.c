// SPDX-License-Identifier: GPL-2.0-or-later
#include "storage_frontend_state.h"

#include <errno.h>
#include <stdlib.h>

#include "buffer_lines.h"

enum { WORDS = sizeof(struct storage_command) / sizeof(uint64_t) };

static int open_link(struct storage_frontend *frontend, const struct storage_link *link)
{
	frontend->link = *link;
	return channel_open_sender(&frontend->commands, &frontend->link.commands,
				   link->channel_bytes, link->generation) == CHANNEL_OK &&
	       channel_open_receiver(&frontend->completions, &frontend->link.completions,
				     link->channel_bytes, link->generation) == CHANNEL_OK &&
	       frontend->commands.slot_bytes == CHANNEL_LARGE_BYTES &&
	       frontend->completions.slot_bytes == CHANNEL_LARGE_BYTES;
}

struct storage_frontend *storage_frontend_create(void *base, uint64_t bytes, uint64_t generation,
						 uint64_t timeout_ns, uint64_t sleep_max_ns)
{
	struct storage_frontend *const frontend = calloc(1, sizeof(*frontend));
	struct storage_link link;

	if (!frontend)
		return NULL;
	if (storage_link_open(&link, base, bytes, generation) < 0 || !open_link(frontend, &link)) {
		free(frontend);
		errno = ENOENT;
		return NULL;
	}
	frontend->timeout_ns = timeout_ns;
	channel_pace_begin(&frontend->pace, sleep_max_ns, channel_now_ns());
	for (uint32_t tag = link.tags; tag-- > 0;)
		free_tag(frontend, tag);
	return frontend;
}

void storage_frontend_destroy(struct storage_frontend *frontend)
{
	free(frontend);
}

uint32_t storage_frontend_tags(const struct storage_frontend *frontend)
{
	return frontend->link.tags;
}

uint32_t storage_frontend_block_bytes(const struct storage_frontend *frontend)
{
	return frontend->link.block_bytes;
}

uint32_t storage_frontend_buffer_bytes(const struct storage_frontend *frontend)
{
	return frontend->link.buffer_bytes;
}

/* --- tags --- */

int storage_frontend_take_tag(struct storage_frontend *frontend)
{
	uint32_t tag;

	if (!frontend->free)
		return -1;
	tag = frontend->free_tags[--frontend->free];
	frontend->tags[tag].state = TAG_HELD;
	return (int)tag;
}

int storage_frontend_release(struct storage_frontend *frontend, uint32_t tag)
{
	if (!find_tag(frontend, tag, TAG_HELD))
		return -1;
	free_tag(frontend, tag);
	return 0;
}

uint8_t *storage_frontend_buffer(struct storage_frontend *frontend, uint32_t tag)
{
	return frontend->link.buffers + (uint64_t)tag * frontend->link.buffer_bytes;
}

/* --- submitting --- */

static int has_data(uint8_t opcode)
{
	return opcode == STORAGE_READ || opcode == STORAGE_WRITE;
}

static void send_command(struct storage_frontend *frontend, struct storage_tag *tag,
			 uint64_t now_ns)
{
	uint64_t words[WORDS];

	_Static_assert(sizeof(words) == sizeof(tag->command), "a command is a message");
	tag->command.serial = ++frontend->serial;
	tag->begin_ns = now_ns;
	/* A write's data is to be in memory. Of a buffer that is read into, nothing that was
	 * stored here may leave the cache later, over what the backend's device puts there. */
	if (has_data(tag->command.opcode))
		buffer_lines_drop(frontend->link.buffers + tag->command.buffer,
			    (uint64_t)tag->command.blocks * frontend->link.block_bytes);
	__builtin_memcpy(words, &tag->command, sizeof(words));
	/* There is room for as many as there are tags, unless the peer says what cannot be:
	 * then it gets nothing, and the command's time runs out. */
	channel_send(&frontend->commands, words, 1);
	channel_flush(&frontend->commands);
}

enum storage_submitted storage_frontend_submit(struct storage_frontend *frontend, uint32_t number,
					       const struct storage_request *request)
{
	struct storage_tag *const tag = find_tag(frontend, number, TAG_HELD);
	const uint64_t bytes = (uint64_t)request->blocks * frontend->link.block_bytes;
	const int is_data = has_data(request->opcode);

	if (!tag)
		return STORAGE_NOT_HELD;
	if (is_data && bytes > frontend->link.buffer_bytes)
		return STORAGE_TOO_LARGE;
	if (frontend->lost)
		return STORAGE_SILENT;
	tag->command = (struct storage_command){
		.opcode = request->opcode,
		.flags = request->flags,
		.tag = (uint16_t)number,
		.slice = request->slice,
		.lba = request->lba,
		.blocks = request->blocks,
		.buffer = is_data ? (uint64_t)number * frontend->link.buffer_bytes : 0,
	};
	tag->state = TAG_PENDING;
	frontend->pending++;
	frontend->counters.submitted++;
	send_command(frontend, tag, channel_now_ns());
	return STORAGE_SUBMITTED;
}

/* --- connecting anew --- */

static void copy_buffer(struct storage_frontend *frontend, const uint8_t *from, uint32_t tag)
{
	__builtin_memcpy(storage_frontend_buffer(frontend, tag), from,
			 frontend->link.buffer_bytes);
}

static void resubmit(struct storage_frontend *frontend, const uint8_t *old_buffers)
{
	const uint64_t now_ns = channel_now_ns();

	for (uint32_t number = 0; number < frontend->link.tags; number++) {
		struct storage_tag *const tag = &frontend->tags[number];
		const uint8_t *const old = old_buffers +
					   (uint64_t)number * frontend->link.buffer_bytes;

		if (tag->state == TAG_LOST) {
			frontend->lost--;
			free_tag(frontend, number);
		} else if (tag->state == TAG_HELD) {
			copy_buffer(frontend, old, number);
		} else if (tag->state == TAG_PENDING) {
			if (tag->command.opcode == STORAGE_WRITE)
				copy_buffer(frontend, old, number);
			frontend->counters.resubmitted++;
			send_command(frontend, tag, now_ns);
		}
	}
}

int storage_frontend_reconnect(struct storage_frontend *frontend, void *base, uint64_t bytes,
			       uint64_t generation)
{
	const struct channel_receiver completions = frontend->completions;
	const struct channel_sender commands = frontend->commands;
	const struct storage_link old = frontend->link;
	struct storage_link link;

	if (storage_link_open(&link, base, bytes, generation) < 0) {
		errno = ENOENT;
		return -1;
	}
	if (link.tags != old.tags || link.block_bytes != old.block_bytes ||
	    link.buffer_bytes != old.buffer_bytes || link.buffers == old.buffers) {
		errno = EINVAL;
		return -1;
	}
	if (!open_link(frontend, &link)) {
		frontend->link = old;
		frontend->commands = commands;
		frontend->completions = completions;
		errno = ENOENT;
		return -1;
	}
	resubmit(frontend, old.buffers);
	return 0;
}

uint32_t storage_frontend_pending(const struct storage_frontend *frontend)
{
	return frontend->pending;
}

struct storage_frontend_counters
storage_frontend_counters(const struct storage_frontend *frontend)
{
	return frontend->counters;
}
