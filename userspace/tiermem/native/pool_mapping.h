/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A pool that is mapped into this process, as struct pool_memory. */
#ifndef POOL_MAPPING_H
#define POOL_MAPPING_H

struct pool_memory;

/* NULL when out of memory. The mapping stays the caller's. */
struct pool_memory *pool_mapping_create(void *base);
void pool_mapping_destroy(struct pool_memory *memory);

#endif
