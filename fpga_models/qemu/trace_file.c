// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace_file.h"

#include <string.h>

enum { BUFFER_BYTES = 1 << 20 };

static const uint64_t address_mask = (1ULL << TM_TRACE_ADDRESS_BITS) - 1;

static int write_header(struct trace_file *trace)
{
	if (fseek(trace->stream, 0, SEEK_SET) ||
	    fwrite(&trace->header, sizeof(trace->header), 1, trace->stream) != 1)
		return -1;
	return 0;
}

int trace_file_open(struct trace_file *trace, const char *path, uint64_t records_max)
{
	memset(trace, 0, sizeof(*trace));
	trace->stream = fopen(path, "wb");
	if (!trace->stream)
		return -1;
	setvbuf(trace->stream, NULL, _IOFBF, BUFFER_BYTES);
	trace->records_max = records_max;
	trace->header.magic = TM_TRACE_MAGIC;
	trace->header.version = TM_TRACE_VERSION;
	trace->header.addresses = TM_TRACE_PHYSICAL;
	return write_header(trace);
}

int trace_file_flush(struct trace_file *trace)
{
	if (!trace->stream)
		return 0;
	if (write_header(trace) || fseek(trace->stream, 0, SEEK_END))
		return -1;
	return fflush(trace->stream);
}

int trace_file_close(struct trace_file *trace)
{
	int failed;

	if (!trace->stream)
		return 0;
	failed = write_header(trace);
	failed |= fclose(trace->stream);
	trace->stream = NULL;
	return failed ? -1 : 0;
}

static bool put(struct trace_file *trace, uint64_t record)
{
	if (trace->header.records >= trace->records_max ||
	    fwrite(&record, sizeof(record), 1, trace->stream) != 1)
		return false;
	trace->header.records++;
	return true;
}

void trace_file_record(struct trace_file *trace, uint32_t vcpu, uint64_t address,
		       bool is_write, uint64_t instructions)
{
	uint64_t gap = instructions - trace->instructions[vcpu];
	bool kept = true;

	trace->instructions[vcpu] = instructions;
	if (gap > TM_TRACE_GAP_MAX) {
		kept = put(trace, 1ULL << TM_TRACE_PAUSE_BIT | (gap & address_mask));
		gap = 0;
	}
	kept = kept && put(trace, gap << TM_TRACE_GAP_SHIFT |
				  (uint64_t)is_write << TM_TRACE_WRITE_BIT |
				  (address & address_mask));
	if (!kept)
		trace->header.dropped++;
}
