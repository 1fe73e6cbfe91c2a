// SPDX-License-Identifier: GPL-2.0-or-later
/* The pool's calls, by hosts of the model that may be killed meanwhile. */
#define POOL_SITE_BASE 40000
#ifndef POOL_MODEL
#define POOL_MODEL
#endif
#include "pool_memory.h"
#include "pool_model.h"
#include "pool_model_state.h"

/* Runs a call that its host may not survive. */
#define MORTAL(mortal, call)                                          \
	do {                                                          \
		struct pool_memory *const memory_ = (mortal);         \
		jmp_buf death;                                        \
		int result_;                                          \
                                                                      \
		if (memory_->is_dead)                                 \
			return POOL_KILLED;                           \
		memory_->death = &death;                              \
		if (setjmp(death))                                    \
			return POOL_KILLED;                           \
		result_ = (call);                                     \
		return result_;                                       \
	} while (0)

int pool_model_format(struct pool_memory *memory, const struct pool_super *super)
{
	MORTAL(memory, (pool_format(memory, super), POOL_OK));
}

int pool_model_attach(struct pool *pool, struct pool_memory *memory, uint32_t host)
{
	MORTAL(memory, pool_attach(pool, memory, host));
}

int pool_model_begin(struct pool *pool, const char *name)
{
	MORTAL(pool->memory, pool_begin(pool, name));
}

int pool_model_beat(struct pool *pool, uint64_t heartbeat)
{
	MORTAL(pool->memory, (pool_beat(pool, heartbeat), POOL_OK));
}

int pool_model_read_host(struct pool *pool, uint32_t host, struct pool_host *into)
{
	MORTAL(pool->memory, (pool_read_host(pool, host, into), POOL_OK));
}

int pool_model_reserve(struct pool *pool, uint64_t bytes, uint64_t holder,
		       struct pool_extent *extent, uint64_t *offset)
{
	MORTAL(pool->memory, pool_reserve(pool, bytes, holder, extent, offset));
}

int pool_model_fill(struct pool *pool, uint64_t offset, const void *data, uint64_t bytes)
{
	MORTAL(pool->memory, (pool_stream(pool->memory, offset, data, bytes), POOL_OK));
}

int pool_model_clear(struct pool *pool, const struct pool_extent *extent)
{
	MORTAL(pool->memory, pool_clear(pool, extent));
}

int pool_model_claim(struct pool *pool, const struct pool_extent *extent, const char *name,
		     uint32_t checksum, uint64_t kind, uint64_t created_ns)
{
	MORTAL(pool->memory, pool_claim(pool, extent, name, checksum, kind, created_ns));
}

int pool_model_settle(struct pool *pool, const struct pool_extent *extent)
{
	MORTAL(pool->memory, pool_settle(pool, extent));
}

int pool_model_withdraw(struct pool *pool, const struct pool_extent *extent)
{
	MORTAL(pool->memory, pool_withdraw(pool, extent));
}

int pool_model_find(struct pool *pool, const char *name, struct pool_extent *extent,
		    struct pool_entry *entry)
{
	MORTAL(pool->memory, pool_find(pool, name, extent, entry));
}

int pool_model_hold(struct pool *pool, const struct pool_extent *extent)
{
	MORTAL(pool->memory, pool_hold(pool, extent));
}

int pool_model_let_go(struct pool *pool, const struct pool_extent *extent)
{
	MORTAL(pool->memory, (pool_let_go(pool, extent), POOL_OK));
}

static int look(struct pool *pool, uint64_t offset, void *into, uint64_t bytes)
{
	pool_invalidate(pool->memory, offset, bytes);
	pool_fence(pool->memory);
	pool_read(pool->memory, offset, into, bytes);
	return POOL_OK;
}

int pool_model_look(struct pool *pool, uint64_t offset, void *into, uint64_t bytes)
{
	MORTAL(pool->memory, look(pool, offset, into, bytes));
}

int pool_model_forget(struct pool *pool, uint64_t offset, uint64_t bytes)
{
	MORTAL(pool->memory, (pool_forget(pool, offset, bytes), POOL_OK));
}

int pool_model_store_word(struct pool *pool, uint64_t offset, uint64_t value)
{
	MORTAL(pool->memory, (pool_store(pool->memory, offset, value), POOL_OK));
}

int pool_model_load_word(struct pool *pool, uint64_t offset, uint64_t *value)
{
	MORTAL(pool->memory, (*value = pool_load(pool->memory, offset), POOL_OK));
}

int pool_model_remove(struct pool *pool, const struct pool_extent *extent)
{
	MORTAL(pool->memory, pool_remove(pool, extent));
}

int pool_model_collect(struct pool *pool, uint32_t *freed)
{
	MORTAL(pool->memory, (*freed = pool_collect(pool), POOL_OK));
}

int pool_model_adopt(struct pool *pool, uint32_t dead, uint32_t *freed)
{
	MORTAL(pool->memory, (*freed = pool_adopt(pool, dead), POOL_OK));
}

int pool_model_read_entry(struct pool *pool, uint32_t host, uint32_t entry,
			  struct pool_entry *into)
{
	MORTAL(pool->memory, pool_read_entry(pool, host, entry, into));
}
