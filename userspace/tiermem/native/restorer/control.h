/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control socket: one command comes in, reports go out. */
#ifndef RESTORER_CONTROL_H
#define RESTORER_CONTROL_H

#include <stdint.h>

struct restorer;

/* Waits for it; ends the restorer where nobody is left who could send one. */
int receive_command(struct restorer *r);

/* What comes later: its flags. -EPIPE where nobody is left who could send one. */
int hear_command(struct restorer *r);

/* Own descriptors out of the way of the process's: above all of its numbers. */
int move_descriptors_up(struct restorer *r);

/* -errno where nobody is left to hear it. */
int report_running(struct restorer *r, int pid);
void report_failure(struct restorer *r);
void report_end(struct restorer *r, int status);

#endif
