// SPDX-License-Identifier: GPL-2.0-or-later
#include "incoherent.h"

#include <stdlib.h>
#include <string.h>

enum { PENDING_MAX = 256 };

enum pending_kind { PENDING_WRITE_BACK, PENDING_INVALIDATE, PENDING_STREAM };

struct pending {
	enum pending_kind kind;
	uint32_t first, bytes;	/* of the line, for a stream */
	uint64_t line;
	uint8_t data[IC_LINE_BYTES];
};

struct ic_host {
	uint8_t *copy;		/* what cached lines hold, each at its place in memory */
	uint8_t *dirty;		/* by line */
	uint64_t *slot;		/* by line: its place in `lines` + 1, 0 where not cached */
	uint64_t *lines;	/* the cached ones, in no order */
	uint64_t nr_lines;
	struct pending pending[PENDING_MAX];
	uint32_t nr_pending;
};

struct ic_system {
	uint8_t *memory;
	uint64_t lines;
	uint32_t nr_hosts;
	struct ic_chances chances;
	uint64_t state;		/* of the generator */
	struct ic_host hosts[IC_HOSTS_MAX];
};

static int make_host(struct ic_host *host, uint64_t lines)
{
	host->copy = calloc(lines, IC_LINE_BYTES);
	host->dirty = calloc(lines, 1);
	host->slot = calloc(lines, sizeof(*host->slot));
	host->lines = calloc(lines, sizeof(*host->lines));
	return host->copy && host->dirty && host->slot && host->lines;
}

struct ic_system *ic_create(uint64_t bytes, uint32_t hosts, struct ic_chances chances,
			    uint64_t seed)
{
	struct ic_system *system;
	int made;

	if (!bytes || bytes % IC_LINE_BYTES || hosts < 1 || hosts > IC_HOSTS_MAX)
		return NULL;
	system = calloc(1, sizeof(*system));
	if (!system)
		return NULL;
	system->lines = bytes / IC_LINE_BYTES;
	system->nr_hosts = hosts;
	system->chances = chances;
	system->state = seed;
	system->memory = calloc(1, bytes);
	made = system->memory != NULL;
	for (uint32_t i = 0; i < hosts && made; i++)
		made = make_host(&system->hosts[i], system->lines);
	if (made)
		return system;
	ic_destroy(system);
	return NULL;
}

void ic_destroy(struct ic_system *system)
{
	if (!system)
		return;
	for (uint32_t i = 0; i < system->nr_hosts; i++) {
		free(system->hosts[i].copy);
		free(system->hosts[i].dirty);
		free(system->hosts[i].slot);
		free(system->hosts[i].lines);
	}
	free(system->memory);
	free(system);
}

uint32_t ic_draw(struct ic_system *system, uint32_t below)
{
	uint64_t x = system->state += 0x9e3779b97f4a7c15ULL;	/* splitmix64 */

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return (uint32_t)((x ^ x >> 31) % below);
}

static int by_chance(struct ic_system *system, uint32_t permille)
{
	return ic_draw(system, 1000) < permille;
}

/* --- lines --- */

static void fetch(struct ic_system *system, struct ic_host *host, uint64_t line)
{
	if (host->slot[line])
		return;
	memcpy(host->copy + line * IC_LINE_BYTES, system->memory + line * IC_LINE_BYTES,
	       IC_LINE_BYTES);
	host->dirty[line] = 0;
	host->lines[host->nr_lines++] = line;
	host->slot[line] = host->nr_lines;
}

static void clean(struct ic_system *system, struct ic_host *host, uint64_t line)
{
	if (!host->slot[line] || !host->dirty[line])
		return;
	memcpy(system->memory + line * IC_LINE_BYTES, host->copy + line * IC_LINE_BYTES,
	       IC_LINE_BYTES);
	host->dirty[line] = 0;
}

static void drop(struct ic_host *host, uint64_t line)
{
	const uint64_t slot = host->slot[line];
	uint64_t last;

	if (!slot)
		return;
	last = host->lines[host->nr_lines - 1];
	host->lines[slot - 1] = last;
	host->slot[last] = slot;
	host->slot[line] = 0;
	host->nr_lines--;
}

static void evict(struct ic_system *system, struct ic_host *host, uint64_t line)
{
	clean(system, host, line);
	drop(host, line);
}

/* --- what was asked for and has not happened yet --- */

static void happen(struct ic_system *system, struct ic_host *host, const struct pending *one)
{
	if (one->kind == PENDING_WRITE_BACK) {
		clean(system, host, one->line);
		return;
	}
	evict(system, host, one->line);
	if (one->kind == PENDING_STREAM)
		memcpy(system->memory + one->line * IC_LINE_BYTES + one->first, one->data,
		       one->bytes);
}

static void settle(struct ic_system *system, struct ic_host *host, uint32_t chosen)
{
	const struct pending one = host->pending[chosen];

	host->nr_pending--;
	memmove(host->pending + chosen, host->pending + chosen + 1,
		(host->nr_pending - chosen) * sizeof(one));
	happen(system, host, &one);
}

/* What concerns one line happens in its order. */
static void settle_line(struct ic_system *system, struct ic_host *host, uint64_t line)
{
	for (uint32_t i = 0; i < host->nr_pending;) {
		if (host->pending[i].line == line)
			settle(system, host, i);
		else
			i++;
	}
}

/* Any of them, but the first of its line. */
static void settle_one(struct ic_system *system, struct ic_host *host)
{
	uint32_t chosen = ic_draw(system, host->nr_pending);

	for (uint32_t i = 0; i < chosen; i++)
		if (host->pending[i].line == host->pending[chosen].line)
			chosen = i;
	settle(system, host, chosen);
}

static void settle_all(struct ic_system *system, struct ic_host *host)
{
	while (host->nr_pending)
		settle_one(system, host);
}

static struct pending *ask(struct ic_system *system, struct ic_host *host,
			   enum pending_kind kind, uint64_t line)
{
	struct pending *one;

	if (host->nr_pending == PENDING_MAX)
		settle_one(system, host);
	one = &host->pending[host->nr_pending++];
	one->kind = kind;
	one->line = line;
	return one;
}

/* A host sees its own stores in order: streams to a line it now looks at come first. */
static void see_own_streams(struct ic_system *system, struct ic_host *host, uint64_t line)
{
	for (uint32_t i = 0; i < host->nr_pending; i++) {
		if (host->pending[i].line == line && host->pending[i].kind == PENDING_STREAM) {
			settle_line(system, host, line);
			return;
		}
	}
}

/* --- accesses --- */

static void unasked(struct ic_system *system, struct ic_host *host, uint64_t line)
{
	/* Time passes for all hosts. */
	struct ic_host *any = &system->hosts[ic_draw(system, system->nr_hosts)];

	if (any->nr_lines && by_chance(system, system->chances.evict))
		evict(system, any, any->lines[ic_draw(system, (uint32_t)any->nr_lines)]);
	if (by_chance(system, system->chances.prefetch)) {
		const uint64_t beside = line + ic_draw(system, 9);

		if (beside >= 4 && beside - 4 < system->lines)
			fetch(system, host, beside - 4);
	}
	if (any->nr_pending && by_chance(system, system->chances.settle))
		settle_one(system, any);
}

typedef void (*on_line)(struct ic_system *, struct ic_host *, uint64_t line, uint32_t first,
			uint32_t bytes, uint8_t *data);

static void each_line(struct ic_system *system, uint32_t host, uint64_t at, uint8_t *data,
		      uint64_t bytes, on_line act)
{
	while (bytes) {
		const uint64_t line = at / IC_LINE_BYTES;
		const uint32_t first = at % IC_LINE_BYTES;
		const uint32_t rest = IC_LINE_BYTES - first;
		const uint32_t here = bytes < rest ? (uint32_t)bytes : rest;

		unasked(system, &system->hosts[host], line);
		act(system, &system->hosts[host], line, first, here, data);
		data = data ? data + here : NULL;
		at += here;
		bytes -= here;
	}
}

static void load_line(struct ic_system *system, struct ic_host *host, uint64_t line,
		      uint32_t first, uint32_t bytes, uint8_t *data)
{
	see_own_streams(system, host, line);
	fetch(system, host, line);
	memcpy(data, host->copy + line * IC_LINE_BYTES + first, bytes);
}

static void store_line(struct ic_system *system, struct ic_host *host, uint64_t line,
		       uint32_t first, uint32_t bytes, uint8_t *data)
{
	see_own_streams(system, host, line);
	fetch(system, host, line);
	memcpy(host->copy + line * IC_LINE_BYTES + first, data, bytes);
	host->dirty[line] = 1;
}

static void stream_line(struct ic_system *system, struct ic_host *host, uint64_t line,
			uint32_t first, uint32_t bytes, uint8_t *data)
{
	struct pending *one = ask(system, host, PENDING_STREAM, line);

	one->first = first;
	one->bytes = bytes;
	memcpy(one->data, data, bytes);
}

static void write_back_line(struct ic_system *system, struct ic_host *host, uint64_t line,
			    uint32_t first, uint32_t bytes, uint8_t *data)
{
	(void)first, (void)bytes, (void)data;
	ask(system, host, PENDING_WRITE_BACK, line);
}

static void invalidate_line(struct ic_system *system, struct ic_host *host, uint64_t line,
			    uint32_t first, uint32_t bytes, uint8_t *data)
{
	(void)first, (void)bytes, (void)data;
	ask(system, host, PENDING_INVALIDATE, line);
}

void ic_load(struct ic_system *system, uint32_t host, uint64_t at, void *into, uint64_t bytes)
{
	each_line(system, host, at, into, bytes, load_line);
}

void ic_store(struct ic_system *system, uint32_t host, uint64_t at, const void *from,
	      uint64_t bytes)
{
	each_line(system, host, at, (uint8_t *)(uintptr_t)from, bytes, store_line);
}

void ic_stream(struct ic_system *system, uint32_t host, uint64_t at, const void *from,
	       uint64_t bytes)
{
	each_line(system, host, at, (uint8_t *)(uintptr_t)from, bytes, stream_line);
}

void ic_write_back(struct ic_system *system, uint32_t host, uint64_t at, uint64_t bytes)
{
	each_line(system, host, at, NULL, bytes, write_back_line);
}

void ic_invalidate(struct ic_system *system, uint32_t host, uint64_t at, uint64_t bytes)
{
	each_line(system, host, at, NULL, bytes, invalidate_line);
}

void ic_fence(struct ic_system *system, uint32_t host)
{
	settle_all(system, &system->hosts[host]);
}

void ic_lose(struct ic_system *system, uint32_t host)
{
	struct ic_host *lost = &system->hosts[host];

	while (lost->nr_pending) {
		if (by_chance(system, 500))
			settle_one(system, lost);
		else
			lost->nr_pending--;
	}
	while (lost->nr_lines) {
		const uint64_t line = lost->lines[lost->nr_lines - 1];

		if (by_chance(system, 500))
			clean(system, lost, line);
		drop(lost, line);
	}
}

uint8_t *ic_memory(struct ic_system *system)
{
	return system->memory;
}
