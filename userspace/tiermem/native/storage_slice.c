// SPDX-License-Identifier: GPL-2.0-or-later
#include "storage_slice.h"

static int has_data(const struct storage_command *command)
{
	return command->opcode == STORAGE_READ || command->opcode == STORAGE_WRITE;
}

static int is_known(uint8_t opcode)
{
	return opcode == STORAGE_FLUSH || opcode == STORAGE_WRITE || opcode == STORAGE_READ ||
	       opcode == STORAGE_WRITE_ZEROES || opcode == STORAGE_DISCARD;
}

static int changes_data(uint8_t opcode)
{
	return opcode != STORAGE_FLUSH && opcode != STORAGE_READ;
}

static int is_unused_zero(const struct storage_command *command)
{
	return !command->reserved && !command->unused[0] && !command->unused[1] &&
	       !command->epoch && (has_data(command) || !command->buffer);
}

static int is_in_buffers(const struct storage_command *command, const struct storage_link *link)
{
	const uint64_t bytes = (uint64_t)command->blocks * link->block_bytes;

	return command->buffer % STORAGE_LINK_ALIGN == 0 && bytes <= link->buffer_bytes &&
	       command->buffer <= link->buffers_bytes - bytes;
}

enum storage_status storage_command_check(const struct storage_command *command,
					  const struct storage_link *link,
					  const struct storage_slice *slices)
{
	const struct storage_slice *slice;

	if (!is_known(command->opcode))
		return STORAGE_UNKNOWN_OPCODE;
	if (command->tag >= link->tags || !is_unused_zero(command))
		return STORAGE_INVALID_FIELD;
	if (command->flags & ~STORAGE_FUA ||
	    (command->flags & STORAGE_FUA && !changes_data(command->opcode)))
		return STORAGE_INVALID_FIELD;
	if (command->slice >= STORAGE_SLICES_MAX || !slices[command->slice].blocks)
		return STORAGE_NO_SUCH_SLICE;
	slice = &slices[command->slice];
	if (command->opcode == STORAGE_FLUSH)
		return command->lba || command->blocks ? STORAGE_INVALID_FIELD : STORAGE_OK;
	if (!command->blocks)
		return STORAGE_INVALID_FIELD;
	if (command->lba >= slice->blocks || command->blocks > slice->blocks - command->lba)
		return STORAGE_OUT_OF_RANGE;
	if (slice->is_read_only && changes_data(command->opcode))
		return STORAGE_WRITE_PROTECTED;
	if (has_data(command) && !is_in_buffers(command, link))
		return STORAGE_INVALID_FIELD;
	return STORAGE_OK;
}
