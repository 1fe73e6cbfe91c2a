/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Address trace, as `tiermem replay` reads it: a header, then records of 8
 * bytes to the end of the file, all little-endian.
 *
 * A record is one memory access:
 *	bits 63..52	instructions executed since the previous record, 0..4095
 *			(saturating; a longer gap takes a gap record first)
 *	bit 51		1 for a write
 *	bit 50		1 for a gap record: no access; bits 49..0 are instructions
 *			that passed, and bits 63..51 are 0
 *	bits 49..0	byte address
 */
#ifndef TM_TRACE_H
#define TM_TRACE_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#endif

#define TM_TRACE_MAGIC 0x3143525452454954ULL	/* "TIERTRC1" */

enum tm_trace_layout {
	TM_TRACE_VERSION = 1,
	TM_TRACE_RECORD_BYTES = 8,
	TM_TRACE_GAP_SHIFT = 52,
	TM_TRACE_GAP_MAX = 4095,
	TM_TRACE_WRITE_BIT = 51,
	TM_TRACE_PAUSE_BIT = 50,
	TM_TRACE_ADDRESS_BITS = 50,
};

enum tm_trace_addresses {
	TM_TRACE_VIRTUAL = 0,	/* of one process; replay places the pages */
	TM_TRACE_PHYSICAL = 1,	/* of a guest; replay treats frames as pages */
};

struct tm_trace_header {
	uint64_t magic;			/* TM_TRACE_MAGIC */
	uint32_t version;		/* TM_TRACE_VERSION */
	uint32_t addresses;		/* enum tm_trace_addresses */
	uint64_t records;		/* records that follow; 0: to the end of the file */
	uint64_t dropped;		/* accesses the recorder could not keep */
	uint64_t reserved[4];		/* 0 */
};

#endif
