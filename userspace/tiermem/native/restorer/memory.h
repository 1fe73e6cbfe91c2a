/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef RESTORER_MEMORY_H
#define RESTORER_MEMORY_H

struct restorer;

/* All mappings but the kernel's own, with what they hold. */
int make_memory(struct restorer *r);

#endif
