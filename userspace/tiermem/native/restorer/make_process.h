/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef RESTORER_MAKE_PROCESS_H
#define RESTORER_MAKE_PROCESS_H

struct restorer;

/*
 * Begins the process with its pid, and returns that. It goes on by itself, and tells by
 * the channel, in struct progress: what its userfaultfd is (no outcome, and the descriptor
 * along), why it has failed, or that it is all there but for its registers.
 * The channel's other end is closed when it has done all that it does itself.
 */
int make_process(struct restorer *r);

#endif
