/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The arena: free address space of the process, where a copy of the restorer goes on
 * while everything else is made anew. It is unmapped last, by process 1.
 */
#ifndef RESTORER_ARENA_H
#define RESTORER_ARENA_H

struct restorer;

enum arena_layout {
	ARENA_CODE = 0,
	ARENA_STATE = 256 << 10,	/* struct restorer */
	ARENA_ASIDE = 320 << 10,	/* the kernel's own mappings, for a moment */
	ARENA_THREAD_STACK_END = 1 << 20,	/* of the one thread that is being made */
	ARENA_STACK_END = 2 << 20,
	ARENA_BYTES = 2 << 20,
};

/* Goes on with `then` and a copy of `r` there; comes back only with -errno. */
int enter_arena(struct restorer *r, void (*then)(struct restorer *));

#endif
