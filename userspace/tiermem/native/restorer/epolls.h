/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef RESTORER_EPOLLS_H
#define RESTORER_EPOLLS_H

struct image_fd;
struct restorer;

int make_epoll(const struct image_fd *fd);

/* What it watches, once all of that is open. */
int fill_epoll(struct restorer *r, const struct image_fd *fd);

#endif
