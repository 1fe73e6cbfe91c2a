/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The cache lines of a buffer that goes between hosts whose caches do not know of each
 * other. A buffer begins at a line. */
#ifndef BUFFER_LINES_H
#define BUFFER_LINES_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "channel_layout.h"
#include "line_instructions.h"

/* What this host stored is in memory when this returns. */
static inline void buffer_write_back(uint8_t *at, size_t bytes)
{
	for (size_t line = 0; line < bytes; line += CHANNEL_LINE_BYTES)
		line_write_back(at + line);
	_mm_mfence();
}

/* The same, and what is loaded after it comes from memory. */
static inline void buffer_drop(uint8_t *at, size_t bytes)
{
	for (size_t line = 0; line < bytes; line += CHANNEL_LINE_BYTES)
		line_invalidate(at + line);
	_mm_mfence();
}

#endif
