/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The server of a block device: requests that the kernel has for it (ublk) go to a
 * backend by way of a frontend, and its answers to the kernel.
 *
 * One thread runs it, and waits for both: for the kernel within io_uring, for the
 * backend, which rings no bell, as channel_pace says. While nothing is pending it sleeps
 * until the kernel has a request. The other calls are for other threads.
 */
#ifndef UBLK_SERVER_H
#define UBLK_SERVER_H

#ifndef TIERMEM_CDEF
#include <stdint.h>

#include "storage_frontend.h"
#endif

struct ublk_counters {
	uint64_t requests;		/* fetched from the kernel */
	uint64_t failed;		/* those of them that ended in an error */
	struct storage_frontend_counters frontend;
};

struct ublk_server;

/*
 * char_fd: /dev/ublkcN, of a device with so many requests in flight, at most as many as
 * the link has tags. It and the frontend stay the caller's, who leaves the frontend alone
 * until the server is destroyed. sleep_max_ns: as channel_pace. NULL with errno.
 */
struct ublk_server *ublk_server_create(int char_fd, uint32_t depth, uint32_t slice,
				       struct storage_frontend *frontend, uint64_t sleep_max_ns);
/* Fetches requests and answers them, until the device was stopped, or ublk_server_stop
 * was called. The kernel takes the thread's end for the server's. */
void ublk_server_run(struct ublk_server *server);
/* Before or during the run. What is pending is not answered: the kernel has it for the
 * device's next server. */
void ublk_server_stop(struct ublk_server *server);
/* When it does not run any more. */
void ublk_server_destroy(struct ublk_server *server);

/* As storage_frontend_reconnect. */
int ublk_server_reconnect(struct ublk_server *server, void *base, uint64_t bytes,
			  uint64_t generation);

struct ublk_counters ublk_server_counters(struct ublk_server *server);

#endif
