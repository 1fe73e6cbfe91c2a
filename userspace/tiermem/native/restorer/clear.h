/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef RESTORER_CLEAR_H
#define RESTORER_CLEAR_H

struct restorer;

/* Unmaps all but the arena and the image. */
int clear_address_space(struct restorer *r);

#endif
