/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the model of a host and the calls that the host may not survive share. */
#ifndef POOL_MODEL_STATE_H
#define POOL_MODEL_STATE_H

#include <setjmp.h>
#include <stdint.h>

struct pool_memory {
	struct pool_model *model;
	uint32_t host;
	int is_in;		/* takes turns */
	int is_dead;
	uint64_t accesses;
	uint64_t dies_at;
	int dies_with_cache;
	jmp_buf *death;
};

#endif
