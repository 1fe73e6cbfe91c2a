/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef RESTORER_SIGNALS_H
#define RESTORER_SIGNALS_H

#include <stdint.h>

struct restorer;

int set_actions(struct restorer *r);

/* Signals that wait: for the process (tid 0), or for the calling thread alone. */
int queue_signals(struct restorer *r, int tid, uint64_t first, uint64_t count);

#endif
