/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A link of the storage engine: what a frontend (the host of instances) and a backend
 * (the host of an SSD) share, in memory without coherence across hosts.
 *
 *	line 0		struct storage_link_header, written once, by whoever makes the link
 *	COMMANDS_AT	the channel from frontend to backend
 *	then		the channel from backend to frontend
 *	then		a buffer for each tag
 *
 * The parts begin at multiples of STORAGE_LINK_ALIGN. A buffer's lines are the
 * frontend's, except while a command that reads into it is in flight: from when the
 * frontend has dropped them (before it sends the command) until the backend has written
 * them back (before it sends the completion) they are the backend's. While a command
 * that writes from it is in flight nobody stores to it.
 */
#ifndef STORAGE_LINK_H
#define STORAGE_LINK_H

#ifndef TIERMEM_CDEF
#include <stddef.h>
#include <stdint.h>

#include "channel.h"
#include "host_memory.h"
#include "storage_command.h"
#endif

enum storage_link_limits {
	STORAGE_LINK_VERSION = 1,
	STORAGE_LINK_ALIGN = 4096,
	STORAGE_LINK_COMMANDS_AT = 4096,
	STORAGE_TAGS_MAX = 1024,
	STORAGE_BUFFER_BYTES_MAX = 4 << 20,	/* of one tag */
	STORAGE_BLOCK_BYTES_MIN = 512,
	STORAGE_BLOCK_BYTES_MAX = 4096,
};

struct storage_link_header {
	uint64_t magic;
	uint32_t version;
	uint32_t tags;
	uint32_t block_bytes;		/* what an LBA counts */
	uint32_t buffer_bytes;		/* of one tag */
	uint64_t generation;		/* grows each time the link is made anew */
};

/*
 * bytes of all of it; 0 where not allowed: tags up to their limit, blocks of a power of
 * two bytes within theirs, buffers of whole multiples of STORAGE_LINK_ALIGN.
 */
uint64_t storage_link_bytes(uint32_t tags, uint32_t block_bytes, uint32_t buffer_bytes);

/* Makes an empty link; no end may be open. -1 where the numbers are not allowed. */
int storage_link_format(void *base, uint32_t tags, uint32_t block_bytes, uint32_t buffer_bytes,
			uint64_t generation);

#ifndef TIERMEM_CDEF
#define STORAGE_LINK_MAGIC 0x6b6e696c726f7473ULL	/* "storlink" */

_Static_assert(sizeof(struct storage_link_header) == 32, "the layout is shared by hosts");
_Static_assert(offsetof(struct storage_link_header, block_bytes) == 16,
	       "the layout is shared by hosts");
_Static_assert(offsetof(struct storage_link_header, generation) == 24,
	       "the layout is shared by hosts");

/* Where the parts lie in this process. */
struct storage_link {
	struct host_memory commands, completions;
	uint64_t channel_bytes;		/* of each */
	uint8_t *buffers;
	uint64_t buffers_bytes;
	uint32_t tags, block_bytes, buffer_bytes;
	uint64_t generation;
};

/* The link of that generation, `bytes` of memory at most; -1 where it is not there. */
int storage_link_open(struct storage_link *link, void *base, uint64_t bytes, uint64_t generation);
#endif

#endif
