/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Recorder of what happens behind the first-level caches, as a trace with
 * physical addresses that `tiermem replay` reads (trackers/trace.h).
 */
#ifndef TIERMEM_TRACE_FILE_H
#define TIERMEM_TRACE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "parameters.h"
#include "trace.h"

struct trace_file {
	FILE *stream;			/* NULL: not recording */
	struct tm_trace_header header;
	uint64_t records_max;
	uint64_t instructions[MS_VCPUS_MAX];	/* of each vCPU at its last record */
};

/* Creates the file; behind records_max records, accesses are only counted as
 * dropped. 0, or -1 with errno. */
int trace_file_open(struct trace_file *trace, const char *path, uint64_t records_max);
/* Makes the file whole as it stands: buffer written, header up to date. 0, or -1
 * with errno; nothing to do where there is no trace. */
int trace_file_flush(struct trace_file *trace);
int trace_file_close(struct trace_file *trace);

void trace_file_record(struct trace_file *trace, uint32_t vcpu, uint64_t address,
		       bool is_write, uint64_t instructions);

static inline void trace_file_add(struct trace_file *trace, uint32_t vcpu,
				  uint64_t address, bool is_write, uint64_t instructions)
{
	if (trace->stream)
		trace_file_record(trace, vcpu, address, is_write, instructions);
}

#endif
