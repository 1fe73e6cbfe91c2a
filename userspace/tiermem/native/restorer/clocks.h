/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef RESTORER_CLOCKS_H
#define RESTORER_CLOCKS_H

struct image_header;

/* For processes that are made from now on, CLOCK_MONOTONIC and CLOCK_BOOTTIME go on from
 * where they were. Negative where the kernel refuses: then they are the host's. */
int clocks_go_on(const struct image_header *image);

#endif
