/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a frontend asks a backend for, and what it answers: messages of 64 bytes, after
 * NVMe's commands and completions. Fields that a command does not use are 0.
 */
#ifndef STORAGE_COMMAND_H
#define STORAGE_COMMAND_H

#ifndef TIERMEM_CDEF
#include <stddef.h>
#include <stdint.h>
#endif

/* Numbers are those of NVM Express' I/O commands. */
enum storage_opcode {
	STORAGE_FLUSH = 0x00,
	STORAGE_WRITE = 0x01,
	STORAGE_READ = 0x02,
	STORAGE_WRITE_ZEROES = 0x08,
	STORAGE_DISCARD = 0x09,
};

enum storage_flag {
	STORAGE_FUA = 1,	/* durable when it completes; of all that write */
};

/* NVM Express' status codes, their type in bits 8 to 10. */
enum storage_status {
	STORAGE_OK = 0x000,
	STORAGE_UNKNOWN_OPCODE = 0x001,
	STORAGE_INVALID_FIELD = 0x002,
	STORAGE_TAG_IN_USE = 0x003,
	STORAGE_INTERNAL_ERROR = 0x006,
	STORAGE_NO_SUCH_SLICE = 0x00b,
	STORAGE_WRITE_PROTECTED = 0x020,
	STORAGE_OUT_OF_RANGE = 0x080,
	STORAGE_NO_CAPACITY = 0x081,
	STORAGE_UNSUPPORTED = 0x0c0,	/* the device has no way to do it */
	STORAGE_WRITE_FAULT = 0x280,
	STORAGE_READ_ERROR = 0x281,
	STORAGE_PATH_ERROR = 0x370,	/* the frontend's: nobody answered in time */
};

struct storage_command {
	uint8_t opcode;
	uint8_t flags;
	uint16_t tag;			/* the frontend's; below the link's tags */
	uint32_t slice;			/* of those of the link */
	uint64_t lba;			/* of the slice, in the link's blocks */
	uint32_t blocks;
	uint32_t reserved;
	uint64_t buffer;		/* bytes from the begin of the link's buffers */
	uint64_t serial;		/* the frontend's; comes back with the completion */
	uint64_t unused[2];
	uint64_t epoch;			/* its top bit is the channel's, the rest 0 */
};

struct storage_completion {
	uint16_t tag;
	uint16_t status;
	uint32_t reserved;
	uint64_t serial;
	uint64_t unused[5];
	uint64_t epoch;
};

#ifndef TIERMEM_CDEF
_Static_assert(sizeof(struct storage_command) == 64, "the layout is shared by hosts");
_Static_assert(offsetof(struct storage_command, tag) == 2, "the layout is shared by hosts");
_Static_assert(offsetof(struct storage_command, lba) == 8, "the layout is shared by hosts");
_Static_assert(offsetof(struct storage_command, buffer) == 24, "the layout is shared by hosts");
_Static_assert(offsetof(struct storage_command, epoch) == 56, "the layout is shared by hosts");
_Static_assert(sizeof(struct storage_completion) == 64, "the layout is shared by hosts");
_Static_assert(offsetof(struct storage_completion, serial) == 8, "the layout is shared by hosts");
_Static_assert(offsetof(struct storage_completion, epoch) == 56, "the layout is shared by hosts");
#endif

#endif
