/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef RESTORER_DESCRIPTORS_H
#define RESTORER_DESCRIPTORS_H

#include <stdint.h>

struct image_fd;
struct restorer;

/* All that the process has open, by the numbers it knows. */
int make_descriptors(struct restorer *r);

/* Gives what was just opened (or -errno) the number that it has in the process. */
long settle_descriptor(const struct image_fd *fd, long opened);

#endif
