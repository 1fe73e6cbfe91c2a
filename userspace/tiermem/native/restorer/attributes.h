/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef RESTORER_ATTRIBUTES_H
#define RESTORER_ATTRIBUTES_H

struct restorer;

/* What all threads share, apart from memory, files, signals and credentials. */
int set_attributes(struct restorer *r);

/* Whether it may be traced and dumped; a change of users takes that away. */
int set_dumpable(struct restorer *r);

#endif
