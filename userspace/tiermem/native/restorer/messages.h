/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages over Unix sockets, with descriptors. */
#ifndef RESTORER_MESSAGES_H
#define RESTORER_MESSAGES_H

#include <stddef.h>

/* How many bytes; 0: the other end is gone. At most `limit` descriptors come into `fds`. */
long receive_message(int from, void *into, size_t bytes, int *fds, int limit, int *count);

/* fd: goes along, unless negative. */
long send_message(int to, const void *what, size_t bytes, int fd);

/* The receiver learns the sender's pid to be that of `pid`, as it knows it. */
long send_message_as(int to, const void *what, size_t bytes, int pid);

#endif
