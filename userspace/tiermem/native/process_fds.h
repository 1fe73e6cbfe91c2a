/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptors of other processes: what Python's os module has no calls for. */
#ifndef PROCESS_FDS_H
#define PROCESS_FDS_H

#ifndef TIERMEM_CDEF
#include <stddef.h>
#include <stdint.h>
#endif

/* A descriptor of our own for another process's open file; negative: an errno. */
int process_fd_take(int pid, int fd);

/* 1 if two of its descriptors share an open file, 0 if not; negative: an errno. */
int process_fds_are_same(int pid, int one, int other);

/* What a pipe holds, which stays in it; how many bytes, or a negative errno. */
long process_fd_peek_pipe(int read_end, uint8_t *into, size_t limit);

/* The address that a socket is bound to (struct sockaddr); how many bytes, or -errno. */
long process_fd_address(int fd, uint8_t *into, size_t limit);

/* A timer that repeats stands still from its first expiry until somebody asks; afterwards
 * /proc says how often it has expired, and when it will again. Negative: an errno. */
int process_fd_ask_timer(int timer);

#endif
