/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The cache lines of a buffer, or a frame, that goes between hosts whose caches do not know
 * of each other. It begins at a line. */
#ifndef BUFFER_LINES_H
#define BUFFER_LINES_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "channel_layout.h"
#include "line_instructions.h"

/* Begins to write them back; they are in memory after the next buffer_lines_fence. */
static inline void buffer_lines_write_back(uint8_t *at, size_t bytes)
{
	for (size_t line = 0; line < bytes; line += CHANNEL_LINE_BYTES)
		line_write_back(at + line);
}

/* What is loaded after this is what is in memory. */
static inline void buffer_lines_drop(uint8_t *at, size_t bytes)
{
	for (size_t line = 0; line < bytes; line += CHANNEL_LINE_BYTES)
		line_invalidate(at + line);
	_mm_mfence();
}

static inline void buffer_lines_fence(void)
{
	_mm_mfence();
}

#endif
