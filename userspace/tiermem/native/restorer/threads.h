/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads with their numbers, each with what it told the kernel about itself. They wait
 * in the arena; their registers are set by process 1.
 */
#ifndef RESTORER_THREADS_H
#define RESTORER_THREADS_H

#include <stdint.h>

struct restorer;

/* All but the leader, which is the one that calls. */
int make_threads(struct restorer *r);

/* The leader's own part, last of all: afterwards it may have no rights any more. */
int finish_leader(struct restorer *r);

/* Sets a futex to 1, wakes who waits for it, and waits itself without using the stack. */
_Noreturn void park(uint32_t *done);

#endif
