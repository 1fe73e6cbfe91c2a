/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef RESTORER_MEMORY_FIELDS_H
#define RESTORER_MEMORY_FIELDS_H

struct restorer;

/* Where code, heap, arguments and environment are, the executable, the auxiliary vector. */
int set_memory_fields(struct restorer *r);

#endif
