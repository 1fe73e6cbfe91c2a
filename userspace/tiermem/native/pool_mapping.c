// SPDX-License-Identifier: GPL-2.0-or-later
#include "pool_mapping.h"

#include <stdlib.h>

#include "pool_memory.h"

struct pool_memory *pool_mapping_create(void *base)
{
	struct pool_memory *memory = malloc(sizeof(*memory));

	if (memory)
		memory->base = base;
	return memory;
}

void pool_mapping_destroy(struct pool_memory *memory)
{
	free(memory);
}
