/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptors of what has no name. */
#ifndef RESTORER_SPECIAL_FILES_H
#define RESTORER_SPECIAL_FILES_H

struct image_fd;
struct restorer;

int make_event(const struct image_fd *fd);
int make_signal_file(const struct image_fd *fd);
int make_timer_file(struct restorer *r, const struct image_fd *fd);
int make_memory_file(struct restorer *r, const struct image_fd *fd);

#endif
