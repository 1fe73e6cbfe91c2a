/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef RESTORER_PREPARE_H
#define RESTORER_PREPARE_H

struct restorer;

/* All that can be done before it is known what is to be restored. */
int prepare(struct restorer *r);

/* All signals wait from now on. */
void block_signals(void);

#endif
