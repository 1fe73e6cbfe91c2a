/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef RESTORER_LISTENERS_H
#define RESTORER_LISTENERS_H

struct image_fd;
struct restorer;

/* A socket that listens where it did; who was waiting there is not known any more. */
int make_listener(struct restorer *r, const struct image_fd *fd);

#endif
