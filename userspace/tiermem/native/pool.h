/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pool: extents of memory shared by hosts whose caches are not coherent.
 *
 * An extent is reserved in its host's own share, filled, and published under a
 * name; from then on it does not change, unless it is an area. Any host may find it,
 * hold it, and wish it away; its owner gives the space back when no living host holds it.
 *
 * No call here waits, locks or allocates for longer than it runs. One host's calls
 * must not overlap (the caller has a lock for that, which need not reach other
 * hosts); different hosts' may, in any way.
 *
 * The order of stores in each call is such that a host may stop for good after any
 * of them: what was published stays, and nothing else is ever seen.
 */
#ifndef POOL_H
#define POOL_H

#ifndef TIERMEM_CDEF
#include <stdint.h>

#include "pool_layout.h"
#endif

struct pool_memory;

enum pool_result {
	POOL_OK = 0,
	POOL_NOT_A_POOL = 1,	/* no superblock */
	POOL_DAMAGED = 2,	/* a checksum or a bound is wrong */
	POOL_NO_SPACE = 3,	/* this host's share has no gap that large */
	POOL_NO_ENTRY = 4,	/* this host's directory is full */
	POOL_EXISTS = 5,	/* the name is taken */
	POOL_CONTENDED = 6,	/* another host is claiming the name: ask again */
	POOL_ABSENT = 7,	/* not, or no longer, there */
	POOL_HELD = 8,		/* the host's area is being cleaned up by another */
	POOL_NO_MEMORY = 9,	/* of this process */
	POOL_OTHER_VERSION = 10, /* of what lies in memory */
	POOL_KILLED = 11,	/* tests only: the host stopped in the middle */
};

/* An extent as one host sees it: where its entry is, and which of the entry's lives. */
struct pool_extent {
	uint32_t host;
	uint32_t entry;
	uint64_t generation;
};

struct pool {
	struct pool_memory *memory;
	struct pool_super super;
	uint32_t host;		/* ours; >= super.hosts: only looking */
	uint64_t dead_hosts;	/* bit h: host h's references and claims do not count */
};

/* Lays a pool out: fills in where everything is. hosts, entries, bytes, uuid and lease_ms are given.
 * POOL_NO_SPACE where a share would be empty. */
int pool_plan(struct pool_super *super);

/* Writes the pool that pool_plan laid out; whatever was there is gone. */
void pool_format(struct pool_memory *memory, const struct pool_super *super);

/* Reads and checks the superblock. */
int pool_attach(struct pool *pool, struct pool_memory *memory, uint32_t host);

/* A host's first call after it has booted: drops what its last life had not finished
 * or held. POOL_HELD while another host is doing so. */
int pool_begin(struct pool *pool, const char *name);

/* Says that this host lives. */
void pool_beat(struct pool *pool, uint64_t heartbeat);

/* What a host says of itself, read afresh. */
void pool_read_host(struct pool *pool, uint32_t host, struct pool_host *into);

/* An entry, read afresh; POOL_DAMAGED where it is published and cannot be right. */
int pool_read_entry(struct pool *pool, uint32_t host, uint32_t entry, struct pool_entry *into);

/* Takes space in this host's share. `holder` tells who fills it, should nobody finish. */
int pool_reserve(struct pool *pool, uint64_t bytes, uint64_t holder, struct pool_extent *extent,
		 uint64_t *offset);

/*
 * Publishing. The data is written and `checksum` is of it. pool_claim announces the
 * name; pool_settle then publishes, or says POOL_EXISTS, or POOL_CONTENDED while a
 * host of a higher number is in between the two itself. After any but POOL_OK and
 * POOL_CONTENDED the extent is reserved as before.
 */
int pool_claim(struct pool *pool, const struct pool_extent *extent, const char *name,
	       uint32_t checksum, uint64_t kind, uint64_t created_ns);
int pool_settle(struct pool *pool, const struct pool_extent *extent);

/*
 * An area is an extent that hosts go on writing to: cleared while it is reserved, then
 * claimed as POOL_KIND_AREA. A host forgets it once it holds it, for what its cache has
 * from before, and again before it lets it go: a line that it stored to must not go to
 * memory when the space is another's.
 */

/* Fills a reserved extent with zeros; they are in memory when pool_claim returns. */
int pool_clear(struct pool *pool, const struct pool_extent *extent);

/* What this host stored there is in memory, and what it loads next is from there. */
void pool_forget(struct pool *pool, uint64_t offset, uint64_t bytes);

/* Gives up an extent that was not published. */
int pool_withdraw(struct pool *pool, const struct pool_extent *extent);

/* Looks a name up among all hosts' published extents. */
int pool_find(struct pool *pool, const char *name, struct pool_extent *extent,
	      struct pool_entry *entry);

/* Holds a published extent, so that its space stays; POOL_ABSENT where it is too late. */
int pool_hold(struct pool *pool, const struct pool_extent *extent);
void pool_let_go(struct pool *pool, const struct pool_extent *extent);

/* How often this host holds an extent, and setting it: for a caller who keeps count. */
uint64_t pool_holds(struct pool *pool, const struct pool_extent *extent);
void pool_set_holds(struct pool *pool, const struct pool_extent *extent, uint64_t count);

/* No longer published; its space comes back when it is collected. */
int pool_remove(struct pool *pool, const struct pool_extent *extent);

/* Frees what is removed and that no living host holds; how many extents. */
uint32_t pool_collect(struct pool *pool);

/* Does pool_begin's and pool_collect's work for a host that is dead. Of all hosts, one
 * at a time may do so for the same. */
uint32_t pool_adopt(struct pool *pool, uint32_t dead);

#endif
