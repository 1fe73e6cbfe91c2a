// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernels_own.h"

#include <linux/errno.h>
#include <linux/mman.h>

#include "bytes.h"
#include "restorer.h"

enum { MAPS_BYTES_MAX = 8192 };

static uint64_t parse_hex(const char **text)
{
	uint64_t value = 0;

	for (;; (*text)++) {
		char c = **text;

		if (c >= '0' && c <= '9')
			value = value * 16 + (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value * 16 + (uint64_t)(c - 'a' + 10);
		else
			return value;
	}
}

static long read_maps(char *into)
{
	long fd = call(open, "/proc/self/maps", SYSTEM_O_RDONLY | SYSTEM_O_CLOEXEC, 0);
	long bytes = 0, part = 1;

	if (fd < 0)
		return fd;
	while (part > 0 && bytes < MAPS_BYTES_MAX - 1) {
		part = call(read, fd, into + bytes, MAPS_BYTES_MAX - 1 - bytes);
		if (part > 0)
			bytes += part;
	}
	call(close, fd);
	into[bytes] = 0;
	return part < 0 ? part : bytes;
}

/* The name at the end of a line; the line's end comes back. */
static const char *find_name(const char *line, const char **name)
{
	*name = "";
	for (; *line && *line != '\n'; line++)
		if (*line == '[')
			*name = line;
	return *line ? line + 1 : line;
}

int find_kernels_own(struct kernels_own *own)
{
	char maps[MAPS_BYTES_MAX];
	long bytes = read_maps(maps);
	const char *at = maps;

	if (bytes < 0)
		return (int)bytes;
	while (*at) {
		const char *name;
		uint64_t start = parse_hex(&at), end;

		at++;
		end = parse_hex(&at);
		at = find_name(at, &name);
		if (!begins_with(name, "[vvar") && !begins_with(name, "[vdso]"))
			continue;
		if (own->count == KERNELS_OWN_MAX)
			return -E2BIG;
		own->start[own->count] = start;
		own->end[own->count++] = end;
	}
	return 0;
}

uint64_t kernels_own_bytes(const struct kernels_own *own)
{
	uint64_t bytes = 0;

	for (int i = 0; i < own->count; i++)
		bytes += own->end[i] - own->start[i];
	return bytes;
}

static int move(struct kernels_own *own, int i, uint64_t to)
{
	uint64_t bytes = own->end[i] - own->start[i];
	long result = call(mremap, own->start[i], bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to);

	if (result < 0)
		return (int)result;
	own->start[i] = to;
	own->end[i] = to + bytes;
	return 0;
}

int put_kernels_own_aside(struct kernels_own *own, uint64_t to)
{
	for (int i = 0; i < own->count; i++) {
		uint64_t bytes = own->end[i] - own->start[i];
		int result = move(own, i, to);

		if (result < 0)
			return result;
		to += bytes;
	}
	return 0;
}

int place_kernels_own(struct restorer *r)
{
	const struct image_vma *vmas = image_vmas(r->image);
	struct kernels_own *own = &r->own;
	int next = 0, result;

	for (uint64_t i = 0; i < r->image->vmas.count; i++) {
		if (vmas[i].kind != IMAGE_VMA_VDSO && vmas[i].kind != IMAGE_VMA_VVAR)
			continue;
		if (next == own->count ||
		    own->end[next] - own->start[next] != vmas[i].end - vmas[i].start)
			return failed(r, RESTORE_STEP_MAPPING, i, -ENOEXEC);
		result = move(own, next++, vmas[i].start);
		if (result < 0)
			return failed(r, RESTORE_STEP_MAPPING, i, result);
	}
	/* A process that has unmapped its vdso goes on without. */
	for (; next < own->count; next++)
		call(munmap, own->start[next], own->end[next] - own->start[next]);
	return 0;
}
