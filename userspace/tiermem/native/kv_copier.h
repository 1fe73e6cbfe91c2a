/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread that copies KV blocks behind an engine's back, in the order in which it is
 * told to. The engine is told of nothing and holds no lock of its language meanwhile: it
 * only waits, if it has to, for a copy by its number.
 */
#ifndef KV_COPIER_H
#define KV_COPIER_H

#ifndef TIERMEM_CDEF
#include <stdint.h>

#include "kv_blocks.h"
#endif

struct kv_copier;

/* Pieces to save or to load. It and they stay where they are until it is done. */
struct kv_copy {
	struct kv_piece *pieces;
	struct copy_pace *pace;		/* the tier's, or NULL */
	uint64_t piece_bytes;
	uint64_t took_ns;		/* once it is done */
	uint32_t count;
	int is_load;
	struct kv_copy *next;		/* the copier's */
};

/* NULL, with errno, where there can be no more threads. name: of 15 characters at most. */
struct kv_copier *kv_copier_start(const char *name);

/* What was submitted before is done first. */
void kv_copier_stop(struct kv_copier *copier);

/* To be done after all that was submitted before it; returns its number, from 1 on. */
uint64_t kv_copier_submit(struct kv_copier *copier, struct kv_copy *copy);

/* Until that one is done. */
void kv_copier_wait(struct kv_copier *copier, uint64_t number);

/* The number of the last one that is done; 0 before. */
uint64_t kv_copier_done(struct kv_copier *copier);

#endif
