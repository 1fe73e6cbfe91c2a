// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "tiermem_hpt.h"

static const volatile struct tiermem_clock_page *page;
static int device = -1;

static uint64_t guest_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + now.tv_nsec;
}

void clock_open(const char *path)
{
	void *map;

	if (strcmp(path, "none") == 0)
		return;
	device = open(path, O_RDONLY | O_CLOEXEC);
	if (device < 0) {
		fprintf(stderr, "clock %s: %s\n", path, strerror(errno));
		exit(2);
	}
	map = mmap(NULL, sizeof(*page), PROT_READ, MAP_SHARED, device, 0);
	if (map == MAP_FAILED) {
		fprintf(stderr, "clock %s: mmap: %s\n", path, strerror(errno));
		exit(2);
	}
	page = map;
	if (page->nr_vcpus > 1) {
		fprintf(stderr, "clock %s: one vCPU is needed, the machine has %u\n",
			path, page->nr_vcpus);
		exit(2);
	}
}

uint64_t clock_now_ns(void)
{
	if (!page)
		return guest_ns();
	return guest_ns() + page->vcpus[0].busy_ns - page->vcpus[0].instructions;
}

void clock_read(struct clock_sample *sample)
{
	memset(sample, 0, sizeof(*sample));
	sample->guest_ns = guest_ns();
	sample->modelled_ns = sample->guest_ns;
	if (!page)
		return;
	sample->armed = page->armed;
	sample->instructions = page->vcpus[0].instructions;
	sample->stall_ns = page->vcpus[0].stall_ns;
	sample->llc_hits = page->vcpus[0].llc_hits;
	sample->modelled_ns += page->vcpus[0].busy_ns - sample->instructions;
	for (int tier = 0; tier < CLOCK_TIERS; tier++) {
		sample->reads[tier] = page->tiers[tier].reads;
		sample->writes[tier] = page->tiers[tier].writes;
	}
}

static void control(unsigned long request, void *argument, const char *what)
{
	if (device >= 0 && ioctl(device, request, argument) != 0) {
		fprintf(stderr, "clock: %s: %s\n", what, strerror(errno));
		exit(2);
	}
}

void clock_arm(uint64_t slow_base, uint64_t slow_bytes)
{
	struct tiermem_hw_config config = {
		.ranges = { { .base = slow_base, .bytes = slow_bytes, .tier = 1 } },
		.nr_ranges = 1,
		.track_base = slow_base,
		.track_bytes = slow_bytes,
	};

	control(TIERMEM_HPT_SET_CONFIG, &config, "configure");
	control(TIERMEM_HPT_ARM, NULL, "arm");
}

void clock_disarm(void)
{
	control(TIERMEM_HPT_DISARM, NULL, "disarm");
}
