/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files mapped and shared with another process: the BAR, the PAC export. */
#ifndef TIERMEM_SHARED_FILE_H
#define TIERMEM_SHARED_FILE_H

#include <stddef.h>

/* Maps the first `bytes` of a file, which is created or extended as needed;
 * `empty` drops what it held. NULL with errno on failure. */
void *shared_file_map(const char *path, size_t bytes, int empty);
void shared_file_unmap(void *memory, size_t bytes);

#endif
