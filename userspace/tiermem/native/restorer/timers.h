/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef RESTORER_TIMERS_H
#define RESTORER_TIMERS_H

struct restorer;

/* Those of timer_create, with their ids, and those of setitimer. */
int make_timers(struct restorer *r);

#endif
