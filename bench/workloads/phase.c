// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "clock.h"
#include "phase.h"

struct phase_options phase_options_from(struct params *params)
{
	struct phase_options options = {
		.clock = params_text(params, "clock", "/dev/tiermem_hpt0"),
		.seed = params_number(params, "seed", 1, 0, UINT32_MAX),
	};

	return options;
}

void phase_latency(struct phase *phase, uint64_t latency_ns)
{
	if (!phase->latencies_ns || phase->nr_latencies >= phase->units)
		return;
	if (latency_ns > UINT32_MAX)
		latency_ns = UINT32_MAX;
	phase->latencies_ns[phase->nr_latencies++] = (uint32_t)latency_ns;
}

void *phase_memory(uint64_t bytes)
{
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		fprintf(stderr, "%" PRIu64 " bytes of memory: %s\n", bytes, strerror(errno));
		exit(1);
	}
	for (uint64_t at = 0; at < bytes; at += 4096)
		memory[at] = 0;
	return memory;
}

static int by_value(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

	return (a > b) - (a < b);
}

static void print_latencies(struct phase *phase)
{
	uint64_t count = phase->nr_latencies;

	if (!count)
		return;
	qsort(phase->latencies_ns, count, sizeof(uint32_t), by_value);
	printf(", \"requests\": %" PRIu64 ", \"p50_ns\": %u, \"p99_ns\": %u", count,
	       phase->latencies_ns[count / 2], phase->latencies_ns[count - 1 - count / 100]);
}

static void print_result(struct phase *phase, const struct clock_sample *begin,
			 const struct clock_sample *end)
{
	printf("{\"label\": \"%s\", \"units\": %" PRIu64 ", \"guest_ns\": %" PRIu64
	       ", \"modelled_ns\": %" PRIu64 ", \"instructions\": %" PRIu64
	       ", \"stall_ns\": %" PRIu64 ", \"llc_hits\": %" PRIu64 ", \"armed\": %s",
	       phase->label, phase->units, end->guest_ns - begin->guest_ns,
	       end->modelled_ns - begin->modelled_ns, end->instructions - begin->instructions,
	       end->stall_ns - begin->stall_ns, end->llc_hits - begin->llc_hits,
	       begin->armed && end->armed ? "true" : "false");
	printf(", \"reads\": [%" PRIu64 ", %" PRIu64 "], \"writes\": [%" PRIu64 ", %" PRIu64 "]",
	       end->reads[0] - begin->reads[0], end->reads[1] - begin->reads[1],
	       end->writes[0] - begin->writes[0], end->writes[1] - begin->writes[1]);
	print_latencies(phase);
	printf("}\n");
}

static void run(phase_work work, void *state, const char *label, uint64_t units, int has_latency)
{
	struct phase phase = { .label = label, .units = units };
	struct clock_sample begin, end;

	if (has_latency)
		phase.latencies_ns = phase_memory(units * sizeof(uint32_t));
	clock_read(&begin);
	work(state, &phase);
	clock_read(&end);
	print_result(&phase, &begin, &end);
	if (has_latency)
		munmap(phase.latencies_ns, units * sizeof(uint32_t));
}

int phase_serve(phase_work work, void *state, int has_latency)
{
	char line[128], label[32];
	uint64_t units, base, bytes;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("{\"ready\": true}\n");
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line, "quit") == 0) {
			return 0;
		} else if (strcmp(line, "disarm") == 0) {
			clock_disarm();
			printf("{\"armed\": false}\n");
		} else if (sscanf(line, "arm %" SCNu64 " %" SCNu64, &base, &bytes) == 2) {
			clock_arm(base, bytes);
			printf("{\"armed\": true}\n");
		} else if (sscanf(line, "run %31[a-z-] %" SCNu64, label, &units) == 2 && units) {
			run(work, state, label, units, has_latency);
		} else {
			fprintf(stderr, "unknown command: %s\n", line);
			return 2;
		}
	}
	return 0;
}
