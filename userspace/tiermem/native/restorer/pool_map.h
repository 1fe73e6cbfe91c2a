/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The image, mapped where nothing of the process will be. */
#ifndef RESTORER_POOL_MAP_H
#define RESTORER_POOL_MAP_H

#include <stdint.h>

struct image_header;
struct restorer;

int map_image(struct restorer *r);

/*
 * An address at which `bytes` are free, both in the process of the image and here, and
 * where they were mapped by this call, inaccessible; a multiple of 2 MiB. -ENOMEM.
 */
int64_t claim_free_space(const struct image_header *image, uint64_t bytes);

#endif
