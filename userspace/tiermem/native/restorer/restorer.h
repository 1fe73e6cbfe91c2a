/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of the restorer share: one structure, passed to all of them.
 *
 * Functions return 0 or -errno. The one that knows what it was about says so by
 * `failed`; those above hand the number on.
 */
#ifndef RESTORER_H
#define RESTORER_H

#include "../fork_image.h"
#include "image_parts.h"
#include "../restore_protocol.h"
#include "system.h"

/* [vvar], [vvar_vclock] and [vdso], by address. */
enum { KERNELS_OWN_MAX = 4 };

struct kernels_own {
	uint64_t start[KERNELS_OWN_MAX];
	uint64_t end[KERNELS_OWN_MAX];
	int count;
};

/* Where the restorer lives while the process's memory is made; see arena.h. */
struct arena {
	uint64_t start;
	uint64_t bytes;
};

/* What the process tells process 1 while it is made. */
struct progress {
	struct restore_report report;
	uint64_t arena_at;
};

struct restorer {
	const struct image_header *image;	/* as it is mapped here */
	uint64_t pool_map_at;			/* that mapping, which is wider */
	uint64_t pool_map_bytes;
	struct restore_command command;
	struct restore_report report;
	struct kernels_own own;
	struct arena arena;
	uint64_t phase_began_ns;
	int control;
	int channel;	/* between process 1 and the process that is made; each has an end */
	int lazy;	/* userfaultfd, or -1 */
	int fds[RESTORE_FDS];	/* -1: none */
	uint32_t thread_index;	/* the thread that is being made */
	uint32_t thread_done;	/* a futex */
	int thread_result;
};

static inline int failed(struct restorer *r, enum restore_step step, uint64_t item, long result)
{
	/* The first to say so is closest to the cause. */
	if (r->report.step == RESTORE_STEP_NONE) {
		r->report.step = step;
		r->report.item = item;
		r->report.code = (int32_t)-result;
	}
	return (int)result;
}

static inline void phase_ends(struct restorer *r, enum restore_phase phase)
{
	uint64_t now_ns = clock_ns();

	r->report.phase_ns[phase] += now_ns - r->phase_began_ns;
	r->phase_began_ns = now_ns;
}

#endif
