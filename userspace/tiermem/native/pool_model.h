/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pool's code on the model of hosts without coherence (tests only).
 *
 * Each host's calls come from a thread of its own. The threads take turns at each
 * access, as the model's seed says, so that a run can be repeated exactly. A host
 * can be stopped for good at any access; a write-back, invalidation or fence can be
 * left out, by its place in the source, to see that it is missed.
 */
#ifndef POOL_MODEL_H
#define POOL_MODEL_H

#ifndef TIERMEM_CDEF
#include <stdint.h>

#include "pool.h"
#endif

struct pool_model;

/* NULL when out of memory. chances: see incoherent.h; turn: how often another host
 * gets its turn, in 1/1000 of the accesses. */
struct pool_model *pool_model_create(uint64_t bytes, uint32_t hosts, uint32_t evict,
				     uint32_t prefetch, uint32_t settle, uint32_t turn,
				     uint64_t seed);
void pool_model_destroy(struct pool_model *model);
struct pool_memory *pool_model_memory(struct pool_model *model, uint32_t host);
uint8_t *pool_model_bytes(struct pool_model *model);

/* How many threads take part from now on; each enters, works, and leaves. */
void pool_model_expect(struct pool_model *model, uint32_t threads);
void pool_model_enter(struct pool_model *model, uint32_t host);
void pool_model_leave(struct pool_model *model, uint32_t host);

/* The host stops before its access number `accesses` from now; UINT64_MAX: never.
 * From then on all its calls answer POOL_KILLED, until it is revived. with_cache: it
 * loses what is in its cache too, as by a power cut; otherwise only the process ends. */
void pool_model_kill_after(struct pool_model *model, uint32_t host, uint64_t accesses,
			   int with_cache);
void pool_model_revive(struct pool_model *model, uint32_t host);
uint64_t pool_model_accesses(struct pool_model *model, uint32_t host);

/* Leaves one site out (0: none). A site is a number from pool_model_sites. */
void pool_model_leave_out(struct pool_model *model, int site);
/* The sites come by so far, at most `most`; how many there are. */
uint32_t pool_model_sites(struct pool_model *model, int *sites, uint32_t most);

/* The pool's calls, and data in and out, by hosts that may be killed meanwhile. */
int pool_model_format(struct pool_memory *memory, const struct pool_super *super);
int pool_model_attach(struct pool *pool, struct pool_memory *memory, uint32_t host);
int pool_model_begin(struct pool *pool, const char *name);
int pool_model_beat(struct pool *pool, uint64_t heartbeat);
int pool_model_read_host(struct pool *pool, uint32_t host, struct pool_host *into);
int pool_model_reserve(struct pool *pool, uint64_t bytes, uint64_t holder,
		       struct pool_extent *extent, uint64_t *offset);
int pool_model_fill(struct pool *pool, uint64_t offset, const void *data, uint64_t bytes);
int pool_model_clear(struct pool *pool, const struct pool_extent *extent);
int pool_model_claim(struct pool *pool, const struct pool_extent *extent, const char *name,
		     uint32_t checksum, uint64_t kind, uint64_t created_ns);
int pool_model_settle(struct pool *pool, const struct pool_extent *extent);
int pool_model_withdraw(struct pool *pool, const struct pool_extent *extent);
int pool_model_find(struct pool *pool, const char *name, struct pool_extent *extent,
		    struct pool_entry *entry);
int pool_model_hold(struct pool *pool, const struct pool_extent *extent);
int pool_model_let_go(struct pool *pool, const struct pool_extent *extent);
/* Invalidates the range, as a client does before it reads an extent, and reads it. */
int pool_model_look(struct pool *pool, uint64_t offset, void *into, uint64_t bytes);
int pool_model_forget(struct pool *pool, uint64_t offset, uint64_t bytes);
/* A user's accesses to an area: plain, by way of the cache. */
int pool_model_store_word(struct pool *pool, uint64_t offset, uint64_t value);
int pool_model_load_word(struct pool *pool, uint64_t offset, uint64_t *value);
int pool_model_remove(struct pool *pool, const struct pool_extent *extent);
int pool_model_collect(struct pool *pool, uint32_t *freed);
int pool_model_adopt(struct pool *pool, uint32_t dead, uint32_t *freed);
int pool_model_read_entry(struct pool *pool, uint32_t host, uint32_t entry,
			  struct pool_entry *into);

#endif
