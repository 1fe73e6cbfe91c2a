/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a pool lies in memory: the superblock, then an area for each host, then data.
 *
 * Hosts that share a pool do not see each other's caches. So every cache line has
 * one host that may write it: the superblock nobody after the pool was made, an
 * area its host, data the host whose share it is in (of areas, POOL_KIND_AREA, their
 * users say who). What a line says must be
 * written back before another host can see it, and be invalidated there before it
 * is read again (pool_memory.h).
 *
 *	superblock	one page, written once
 *	area of host h	one page about the host itself, its directory of `entries`
 *			entries, and its references: for each host's each entry,
 *			how often this host holds it
 *	data		cut into one share a host, from which it allocates
 *
 * All numbers are little-endian. Offsets are from the pool's begin.
 */
#ifndef POOL_LAYOUT_H
#define POOL_LAYOUT_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#endif

enum pool_limits {
	POOL_VERSION = 2,
	POOL_LINE_BYTES = 64,
	POOL_PAGE_BYTES = 4096,
	POOL_LARGE_BYTES = 2097152,	/* extents of this size and more are aligned to it */
	POOL_HOSTS_MAX = 64,
	POOL_ENTRIES_MAX = 65536,
	POOL_NAME_BYTES = 128,		/* with the zero at its end */
	POOL_HOST_NAME_BYTES = 64,
};

#ifndef TIERMEM_CDEF
#define POOL_MAGIC 0x314c4f4f504d4954ULL	/* "TIMPOOL1" */
#endif

struct pool_super {
	uint64_t magic;		/* written last */
	uint32_t version;
	uint32_t hosts;
	uint32_t entries;	/* of each host's directory */
	uint32_t checksum;	/* CRC-32C of this structure with it 0 */
	uint64_t bytes;		/* of the pool */
	uint64_t area_at;	/* of host 0's area */
	uint64_t area_bytes;	/* of each area */
	uint64_t data_at;	/* of host 0's share */
	uint64_t share_bytes;	/* of each share, a multiple of 2 MiB */
	uint8_t uuid[16];
	uint32_t lease_ms;	/* a host that is silent for so long is dead */
	uint32_t reserved;
};

/* An area's first two lines. */
struct pool_host {
	uint64_t heartbeat;	/* changes while the host lives */
	uint64_t incarnation;	/* counts its boots; 0: never opened */
	uint64_t adopts;	/* host + 1 whose area this host cleans up, 0: nobody's */
	uint64_t reserved[5];
	char name[64];
};

enum pool_state {
	POOL_FREE = 0,
	POOL_RESERVED = 1,	/* space taken, being filled */
	POOL_INTENT = 2,	/* filled; its name is being claimed */
	POOL_PUBLISHED = 3,
	POOL_CONDEMNED = 4,	/* removed; space comes back when nobody holds it */
};

/*
 * A directory entry. The first word commits all that the others say: it is written
 * back after them, and its generation, one higher each time the entry is reserved,
 * tells a reader that what it read before is gone.
 */
struct pool_entry {
	uint64_t commit;	/* generation << 8 | enum pool_state */
	uint64_t offset;
	uint64_t bytes;		/* as asked for; space is taken in whole pages */
	uint64_t holder;	/* who fills it: an identity within its host */
	uint64_t created_ns;	/* since 1970 */
	uint32_t checksum;	/* CRC-32C of the data; of an area 0 */
	uint32_t entry_checksum;	/* of what does not change once it is published */
	uint64_t kind;		/* the client's: what is in it; or POOL_KIND_AREA */
	uint64_t name_hash;	/* CRC-32C of the name, so that most names need not be read */
	char name[128];
	uint64_t reserved_lines[8];
};

/* Kinds are the clients', but for this one. */
enum pool_kind {
	POOL_KIND_AREA = 0x41455241,	/* "AREA": hosts go on writing to it; no checksum of data */
};

/* A reference: generation << 24 | wish << 23 | count. */
enum pool_reference {
	POOL_REF_COUNT_BITS = 23,
	POOL_REF_GENERATION_SHIFT = 24,
};

#ifndef TIERMEM_CDEF
#include <stddef.h>

_Static_assert(sizeof(struct pool_super) == 88, "superblock");
_Static_assert(sizeof(struct pool_host) == 128, "a host is two lines");
_Static_assert(offsetof(struct pool_host, name) == 64, "its name is the second");
_Static_assert(sizeof(struct pool_entry) == 256, "an entry is four lines");
_Static_assert(offsetof(struct pool_entry, name) == 64, "its first line has no name");

static inline uint64_t pool_area(const struct pool_super *super, uint32_t host)
{
	return super->area_at + host * super->area_bytes;
}

static inline uint64_t pool_entry_at(const struct pool_super *super, uint32_t host, uint32_t entry)
{
	return pool_area(super, host) + POOL_PAGE_BYTES + entry * sizeof(struct pool_entry);
}

/* Where `host` notes how often it holds an entry of `owner`. */
static inline uint64_t pool_reference_at(const struct pool_super *super, uint32_t host,
					 uint32_t owner, uint32_t entry)
{
	return pool_entry_at(super, host, super->entries) +
	       ((uint64_t)owner * super->entries + entry) * sizeof(uint64_t);
}

static inline uint64_t pool_area_bytes(uint32_t hosts, uint32_t entries)
{
	const uint64_t bytes = POOL_PAGE_BYTES + (uint64_t)entries * sizeof(struct pool_entry) +
			       (uint64_t)hosts * entries * sizeof(uint64_t);

	return (bytes + POOL_PAGE_BYTES - 1) & ~(uint64_t)(POOL_PAGE_BYTES - 1);
}
#endif

#endif
