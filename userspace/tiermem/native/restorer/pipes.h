/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef RESTORER_PIPES_H
#define RESTORER_PIPES_H

struct image_fd;
struct restorer;

/* Both ends of its pipe, at the first of them; what the pipe held is in it again. */
int make_pipe_end(struct restorer *r, const struct image_fd *fd);

#endif
