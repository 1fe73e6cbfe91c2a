/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A frame's cache lines, between hosts whose caches do not know of each other. */
#ifndef NET_LINES_H
#define NET_LINES_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "channel_layout.h"
#include "line_instructions.h"

/* Begins to write them back; they are in memory after the next net_lines_fence. */
static inline void net_lines_write_back(uint8_t *at, size_t bytes)
{
	for (size_t line = 0; line < bytes; line += CHANNEL_LINE_BYTES)
		line_write_back(at + line);
}

/* What is loaded after this is what is in memory. */
static inline void net_lines_drop(uint8_t *at, size_t bytes)
{
	for (size_t line = 0; line < bytes; line += CHANNEL_LINE_BYTES)
		line_invalidate(at + line);
	_mm_mfence();
}

static inline void net_lines_fence(void)
{
	_mm_mfence();
}

#endif
