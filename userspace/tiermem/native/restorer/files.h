/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files that are mapped, opened by name; they must be what they were. */
#ifndef RESTORER_FILES_H
#define RESTORER_FILES_H

#include <stdint.h>

struct restorer;

/* The one that was opened last: mappings of one file follow each other. */
struct opened_file {
	int fd;	/* -1: none */
	uint32_t path;
	int is_writable;
};

/* is_shared: opened for writing too, where that is allowed. */
int open_mapped_file(struct restorer *r, struct opened_file *file, uint32_t path, int is_shared);
void close_mapped_file(struct opened_file *file);

#endif
