/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a workload is driven: it sets itself up, prints {"ready": true}, then
 * reads commands from standard input, one a line:
 *
 *	run LABEL UNITS		do so many units of work; answers with one JSON
 *				line: time, traffic and latencies of that work
 *	arm BASE BYTES		the hardware model, through the tracker device, with
 *	disarm			tier 1 at these physical addresses
 *	quit
 *
 * A unit is the workload's own: a request, a decoding step, an iteration.
 */
#ifndef BENCH_PHASE_H
#define BENCH_PHASE_H

#include <stdint.h>

#include "params.h"

struct phase {
	const char *label;
	uint64_t units;
	uint32_t *latencies_ns;		/* modelled; NULL: units have no latency */
	uint64_t nr_latencies;
};

typedef void (*phase_work)(void *state, struct phase *phase);

/* The parameters that every workload has. */
struct phase_options {
	const char *clock;
	uint64_t seed;
};

struct phase_options phase_options_from(struct params *params);

/* Record one unit's latency; ignored beyond phase->units. */
void phase_latency(struct phase *phase, uint64_t latency_ns);

/* has_latency: give phase->latencies_ns room for one entry a unit. */
int phase_serve(phase_work work, void *state, int has_latency);

/*
 * Zero-filled memory of its own, populated page by page in address order (so
 * by the kernel's default placement). Exits when there is none.
 */
void *phase_memory(uint64_t bytes);

#endif
