/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What trace.h says of a record, as masks. */
#ifndef TRACE_RECORD_H
#define TRACE_RECORD_H

#include <stdint.h>

#include "trace.h"

#define ADDRESS_MASK ((1ULL << TM_TRACE_ADDRESS_BITS) - 1)
#define GAP_RECORD (1ULL << TM_TRACE_PAUSE_BIT)

static inline int is_malformed_gap(uint64_t record)
{
	return record >> TM_TRACE_WRITE_BIT != 0;
}

#endif
