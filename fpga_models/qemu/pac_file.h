/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host's exact view of the memory controllers: one file with a counter of
 * reads for every 4 KiB page of guest physical memory, all tiers. It is for
 * judging, from the host, without disturbing the guest.
 *
 * Little-endian. A 4096-byte header, then `pages` 64-bit counters, the one of
 * page frame n at 4096 + 8 n. Counters only grow; a reader that wants a phase
 * takes the difference of two snapshots. The file is sparse.
 */
#ifndef TIERMEM_PAC_FILE_H
#define TIERMEM_PAC_FILE_H

#include <stddef.h>
#include <stdint.h>

#define PAC_FILE_MAGIC 0x3143415052454954ULL	/* "TIERPAC1" */

enum pac_file_layout {
	PAC_FILE_VERSION = 1,
	PAC_FILE_PAGE_SHIFT = 12,
	PAC_FILE_HEADER_BYTES = 4096,
};

struct pac_file_header {
	uint64_t magic;
	uint32_t version;
	uint32_t page_shift;
	uint64_t pages;
	uint64_t beyond;	/* reads of pages with no counter */
};

struct pac_file {
	struct pac_file_header *header;
	uint64_t *counts;
	uint64_t pages;
	size_t mapped_bytes;
};

/* Creates the file, all zero. 0, or -1 with errno. */
int pac_file_open(struct pac_file *file, const char *path, uint64_t limit_bytes);
void pac_file_close(struct pac_file *file);

static inline void pac_file_count(struct pac_file *file, uint64_t address)
{
	const uint64_t page = address >> PAC_FILE_PAGE_SHIFT;

	if (page < file->pages)
		file->counts[page]++;
	else if (file->header)
		file->header->beyond++;
}

#endif
