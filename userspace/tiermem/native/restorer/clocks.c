// SPDX-License-Identifier: GPL-2.0-or-later
#include "clocks.h"

#include <linux/sched.h>
#include <linux/time.h>

#include "bytes.h"
#include "restorer.h"

/* A line of timens_offsets: the clock, then what is added to the host's. */
static size_t put_offset(char *into, int clock, uint64_t wanted_ns)
{
	struct {
		int64_t s;
		int64_t ns;
	} now = { 0 };
	int64_t offset_ns, s;
	size_t bytes;

	call(clock_gettime, clock, &now);
	offset_ns = (int64_t)wanted_ns - (now.s * (int64_t)NS_PER_S + now.ns);
	s = offset_ns / (int64_t)NS_PER_S;
	if (s * (int64_t)NS_PER_S > offset_ns)
		s--;
	bytes = put_number(into, clock);
	into[bytes++] = ' ';
	bytes += put_number(into + bytes, s);
	into[bytes++] = ' ';
	bytes += put_number(into + bytes, offset_ns - s * (int64_t)NS_PER_S);
	into[bytes++] = '\n';
	return bytes;
}

int clocks_go_on(const struct image_header *image)
{
	char text[160];
	size_t bytes;
	long fd = call(unshare, CLONE_NEWTIME), result;

	if (fd < 0)
		return (int)fd;
	fd = call(open, "/proc/self/timens_offsets", SYSTEM_O_WRONLY | SYSTEM_O_CLOEXEC, 0);
	if (fd < 0)
		return (int)fd;
	bytes = put_offset(text, CLOCK_MONOTONIC, image->monotonic_ns);
	bytes += put_offset(text + bytes, CLOCK_BOOTTIME, image->boottime_ns);
	result = call(write, fd, text, bytes);
	call(close, fd);
	return result < 0 ? (int)result : 0;
}
