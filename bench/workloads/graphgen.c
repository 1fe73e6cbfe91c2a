// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Write a Kronecker graph as Graph500 defines it (initiator 0.57, 0.19, 0.19,
 * 0.05; vertex names scattered) to a file in graph.h's form.
 */
#include <stdio.h>
#include <stdlib.h>

#include "draw.h"
#include "graph.h"
#include "params.h"

struct edge {
	uint32_t from, to;
};

static struct edge kronecker_edge(struct draw *draw, unsigned int scale)
{
	struct edge edge = { 0, 0 };

	for (unsigned int bit = 0; bit < scale; bit++) {
		uint32_t at = (uint32_t)(draw_u64(draw) >> 32);
		uint32_t from = at >= 0xc28f5c29u;	/* beyond 0.57 + 0.19 */
		uint32_t to = from ? at >= 0xf3333333u	/* beyond 0.57 + 0.19 + 0.19 */
				   : at >= 0x91eb851eu;	/* beyond 0.57 */

		edge.from |= from << bit;
		edge.to |= to << bit;
	}
	return edge;
}

static void *room(uint64_t bytes)
{
	void *memory = calloc(1, bytes);

	if (!memory) {
		perror("graph");
		exit(1);
	}
	return memory;
}

static void put(FILE *file, const char *path, const void *data, uint64_t bytes)
{
	if (fwrite(data, 1, bytes, file) != bytes) {
		perror(path);
		exit(1);
	}
}

static void write_graph(const char *path, const struct graph_header *header,
			const uint64_t *offsets, const uint32_t *neighbours)
{
	FILE *file = fopen(path, "wb");

	if (!file) {
		perror(path);
		exit(1);
	}
	put(file, path, header, sizeof(*header));
	put(file, path, offsets, (header->vertices + 1) * sizeof(*offsets));
	put(file, path, neighbours, header->entries * sizeof(*neighbours));
	if (fclose(file) != 0) {
		perror(path);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	struct params params = params_from(argc, argv);
	unsigned int scale = params_number(&params, "scale", 20, 4, 26);
	uint64_t degree = params_number(&params, "degree", 8, 1, 64);
	uint64_t seed = params_number(&params, "seed", 1, 0, UINT32_MAX);
	const char *path = params_text(&params, "out", "graph.bin");
	uint64_t vertices = 1ull << scale, edges = degree << scale;
	struct graph_header header = { GRAPH_MAGIC, vertices, 2 * edges, seed };
	struct draw draw = draw_seeded(seed);
	uint32_t *names, *neighbours;
	uint64_t *offsets;
	struct edge *list;

	params_done(&params);
	names = draw_permutation(&draw, (uint32_t)vertices);
	list = room(edges * sizeof(*list));
	offsets = room((vertices + 2) * sizeof(*offsets));
	neighbours = room(2 * edges * sizeof(*neighbours));
	for (uint64_t i = 0; i < edges; i++) {
		struct edge edge = kronecker_edge(&draw, scale);

		list[i] = (struct edge){ names[edge.from], names[edge.to] };
		offsets[list[i].from + 2]++;
		offsets[list[i].to + 2]++;
	}
	for (uint64_t v = 0; v < vertices; v++)
		offsets[v + 2] += offsets[v + 1];
	/* offsets[v + 1] now walks from v's first entry to its end. */
	for (uint64_t i = 0; i < edges; i++) {
		neighbours[offsets[list[i].from + 1]++] = list[i].to;
		neighbours[offsets[list[i].to + 1]++] = list[i].from;
	}
	write_graph(path, &header, offsets, neighbours);
	return 0;
}
