/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef RESTORER_REGISTERS_H
#define RESTORER_REGISTERS_H

struct restorer;

/* By process 1, when the process has come to rest: the arena goes, and all threads go on
 * where they were when they were taken. */
int set_registers(struct restorer *r);

#endif
