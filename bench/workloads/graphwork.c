// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Graph kernels over a file that graphgen wrote.
 *
 *	kernel=pagerank		a unit is one pull iteration over all edges
 *	kernel=bfs		a unit is one breadth-first search from a
 *				source drawn among the vertices with neighbours
 *
 * The graph is read into memory first and the per-vertex arrays come after
 * it, as graph programs do; so by default the arrays end up in the slow tier.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "draw.h"
#include "graph.h"
#include "phase.h"

#define READ_BYTES (1u << 20)
#define UNSEEN UINT32_MAX

struct graph {
	uint64_t vertices;
	const uint64_t *offsets;
	const uint32_t *neighbours;
	struct draw draw;
	double *rank, *share;		/* pagerank */
	uint32_t *parent, *frontier;	/* bfs */
	uint64_t visited;
};

static void read_fully(FILE *file, const char *path, void *into, uint64_t bytes)
{
	char *at = into;

	while (bytes) {
		size_t want = bytes < READ_BYTES ? bytes : READ_BYTES;
		size_t got = fread(at, 1, want, file);

		if (got != want) {
			fprintf(stderr, "%s: shorter than its header says\n", path);
			exit(1);
		}
		at += got;
		bytes -= got;
	}
}

static void load_graph(struct graph *graph, const char *path)
{
	struct graph_header header;
	FILE *file = fopen(path, "rb");
	uint64_t *offsets;
	uint32_t *neighbours;

	if (!file) {
		perror(path);
		exit(2);
	}
	read_fully(file, path, &header, sizeof(header));
	if (header.magic != GRAPH_MAGIC) {
		fprintf(stderr, "%s: not a graph that graphgen wrote\n", path);
		exit(2);
	}
	graph->vertices = header.vertices;
	offsets = phase_memory((header.vertices + 1) * sizeof(*offsets));
	neighbours = phase_memory(header.entries * sizeof(*neighbours));
	read_fully(file, path, offsets, (header.vertices + 1) * sizeof(*offsets));
	read_fully(file, path, neighbours, header.entries * sizeof(*neighbours));
	fclose(file);
	graph->offsets = offsets;
	graph->neighbours = neighbours;
}

static void pagerank_iteration(struct graph *graph)
{
	const double damping = 0.85, base = (1.0 - damping) / (double)graph->vertices;

	for (uint64_t v = 0; v < graph->vertices; v++) {
		uint64_t degree = graph->offsets[v + 1] - graph->offsets[v];

		graph->share[v] = degree ? graph->rank[v] / (double)degree : 0.0;
	}
	for (uint64_t v = 0; v < graph->vertices; v++) {
		double sum = 0.0;

		for (uint64_t e = graph->offsets[v]; e < graph->offsets[v + 1]; e++)
			sum += graph->share[graph->neighbours[e]];
		graph->rank[v] = base + damping * sum;
	}
}

static void pagerank(void *state, struct phase *phase)
{
	for (uint64_t unit = 0; unit < phase->units; unit++)
		pagerank_iteration(state);
}

static uint32_t draw_source(struct graph *graph)
{
	for (;;) {
		uint32_t v = (uint32_t)draw_below(&graph->draw, graph->vertices);

		if (graph->offsets[v + 1] - graph->offsets[v] > 1)
			return v;
	}
}

static void bfs_once(struct graph *graph)
{
	uint64_t head = 0, tail = 0;
	uint32_t source = draw_source(graph);

	memset(graph->parent, 0xff, graph->vertices * sizeof(*graph->parent));
	graph->parent[source] = source;
	graph->frontier[tail++] = source;
	while (head < tail) {
		uint32_t v = graph->frontier[head++];

		for (uint64_t e = graph->offsets[v]; e < graph->offsets[v + 1]; e++) {
			uint32_t next = graph->neighbours[e];

			if (graph->parent[next] != UNSEEN)
				continue;
			graph->parent[next] = v;
			graph->frontier[tail++] = next;
		}
	}
	graph->visited += tail;
}

static void bfs(void *state, struct phase *phase)
{
	for (uint64_t unit = 0; unit < phase->units; unit++)
		bfs_once(state);
}

static int serve_pagerank(struct graph *graph)
{
	graph->rank = phase_memory(graph->vertices * sizeof(double));
	graph->share = phase_memory(graph->vertices * sizeof(double));
	for (uint64_t v = 0; v < graph->vertices; v++)
		graph->rank[v] = 1.0 / (double)graph->vertices;
	return phase_serve(pagerank, graph, 0);
}

static int serve_bfs(struct graph *graph)
{
	graph->parent = phase_memory(graph->vertices * sizeof(uint32_t));
	graph->frontier = phase_memory(graph->vertices * sizeof(uint32_t));
	return phase_serve(bfs, graph, 0);
}

int main(int argc, char **argv)
{
	struct params params = params_from(argc, argv);
	struct phase_options options = phase_options_from(&params);
	const char *path = params_text(&params, "graph", "graph.bin");
	const char *kernel = params_text(&params, "kernel", "pagerank");
	struct graph graph = { .draw = draw_seeded(options.seed) };

	params_done(&params);
	if (strcmp(kernel, "pagerank") && strcmp(kernel, "bfs")) {
		fprintf(stderr, "kernel=%s: pagerank or bfs is needed\n", kernel);
		return 2;
	}
	clock_open(options.clock);
	load_graph(&graph, path);
	return kernel[0] == 'p' ? serve_pagerank(&graph) : serve_bfs(&graph);
}
