// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "ublk_server.h"

#include <errno.h>
#include <immintrin.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "channel_wait.h"
#include "round_lock.h"
#include "storage_ring.h"
#include "ublk_request.h"

enum {
	BATCH = 32,
	PAGE_BYTES = 4096,
	NOTHING_PENDING_NS = 1000000000,	/* the kernel's next request ends it */
};

/* A request of the ring is of the tag in its user data, or this. */
static const uint64_t STOP = UINT64_MAX;

struct ublk_server {
	struct ublk_queue queue;
	struct storage_ring ring;
	struct channel_pace pace;
	struct ublk_counters counters;
	size_t descriptors_bytes;
	uint32_t depth;
	uint32_t live;			/* tags that the kernel has not given up */
	int stop_fd, is_stopping;
	struct round_lock lock;		/* of all that a round works on */
};

/* --- its life --- */

static int map_descriptors(struct ublk_server *server)
{
	const size_t bytes = server->depth * sizeof(struct ublksrv_io_desc);
	void *mapped;

	server->descriptors_bytes = (bytes + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
	mapped = mmap(NULL, server->descriptors_bytes, PROT_READ, MAP_SHARED | MAP_POPULATE,
		      server->queue.char_fd, UBLKSRV_CMD_BUF_OFFSET);
	if (mapped == MAP_FAILED)
		return -1;
	server->queue.descriptors = mapped;
	return 0;
}

/* Of each tag one entry waits to be submitted at most, and the one for stopping. */
static int open_ring(struct ublk_server *server)
{
	uint32_t entries = 1;
	int error;

	while (entries < server->depth + 1)
		entries *= 2;
	error = storage_ring_open(&server->ring, entries, 2 * entries, 0);
	errno = -error;
	return error ? -1 : 0;
}

static int open_parts(struct ublk_server *server)
{
	int error;

	server->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (server->stop_fd < 0)
		return -1;
	if (map_descriptors(server) == 0) {
		if (open_ring(server) == 0)
			return 0;
		error = errno;
		munmap((void *)server->queue.descriptors, server->descriptors_bytes);
		errno = error;
	}
	error = errno;
	close(server->stop_fd);
	errno = error;
	return -1;
}

struct ublk_server *ublk_server_create(int char_fd, uint32_t depth, uint32_t slice,
				       struct storage_frontend *frontend, uint64_t sleep_max_ns)
{
	struct ublk_server *server;

	if (!depth || depth > storage_frontend_tags(frontend)) {
		errno = EINVAL;
		return NULL;
	}
	server = calloc(1, sizeof(*server));
	if (!server)
		return NULL;
	server->queue = (struct ublk_queue){
		.char_fd = char_fd, .frontend = frontend, .slice = slice,
	};
	server->depth = depth;
	if (open_parts(server) < 0) {
		free(server);
		return NULL;
	}
	channel_pace_begin(&server->pace, sleep_max_ns, channel_now_ns());
	round_lock_init(&server->lock);
	return server;
}

void ublk_server_destroy(struct ublk_server *server)
{
	storage_ring_close(&server->ring);
	munmap((void *)server->queue.descriptors, server->descriptors_bytes);
	close(server->stop_fd);
	round_lock_destroy(&server->lock);
	free(server);
}

/* --- what the kernel is asked for --- */

static void put_command(struct ublk_server *server, uint32_t operation, uint32_t tag,
			int32_t result)
{
	const struct ublksrv_io_cmd command = { .tag = (uint16_t)tag, .result = result };
	struct io_uring_sqe *const sqe = storage_ring_next(&server->ring);

	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = server->queue.char_fd;
	sqe->cmd_op = operation;
	sqe->user_data = tag;
	memcpy((uint8_t *)sqe + offsetof(struct io_uring_sqe, cmd), &command, sizeof(command));
}

static void answer(struct ublk_server *server, uint32_t tag, int32_t result)
{
	server->counters.failed += result < 0;
	put_command(server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, tag, result);
}

static void begin(struct ublk_server *server)
{
	struct io_uring_sqe *const sqe = storage_ring_next(&server->ring);

	sqe->opcode = IORING_OP_POLL_ADD;
	sqe->fd = server->stop_fd;
	sqe->poll32_events = POLLIN;
	sqe->user_data = STOP;
	for (uint32_t tag = 0; tag < server->depth; tag++)
		put_command(server, UBLK_U_IO_FETCH_REQ, tag, 0);
	server->live = server->depth;
}

/* --- a round --- */

static uint32_t take_results(struct ublk_server *server)
{
	struct storage_result results[BATCH];
	const uint32_t found = storage_frontend_poll(server->queue.frontend, results, BATCH);

	for (uint32_t i = 0; i < found; i++) {
		uint32_t tag;
		const int32_t result = ublk_request_end(&server->queue, &results[i], &tag);

		answer(server, tag, result);
	}
	return found;
}

static void take_request(struct ublk_server *server, uint32_t tag)
{
	int32_t result;

	server->counters.requests++;
	result = ublk_request_begin(&server->queue, tag);
	if (result != UBLK_REQUEST_RUNS)
		answer(server, tag, result);
}

static uint32_t take_requests(struct ublk_server *server)
{
	uint64_t user_data;
	uint32_t took = 0;
	int32_t result;

	while (storage_ring_take(&server->ring, &user_data, &result)) {
		if (user_data == STOP)
			server->is_stopping = 1;
		else if (result == UBLK_IO_RES_OK)
			take_request(server, (uint32_t)user_data);
		else
			server->live--;
		took++;
	}
	return took;
}

/* Answers first: a backend that was silent may have become fit for new requests. Returns
 * how long to wait then. */
static uint64_t do_round(struct ublk_server *server)
{
	const uint32_t results = take_results(server);
	const uint32_t requests = take_requests(server);
	uint64_t sleep_ns;

	if (results || requests) {
		channel_pace_busy(&server->pace, channel_now_ns());
		return 0;
	}
	sleep_ns = channel_pace_idle(&server->pace, channel_now_ns());
	if (sleep_ns && !storage_frontend_pending(server->queue.frontend))
		return NOTHING_PENDING_NS;
	return sleep_ns;
}

void ublk_server_run(struct ublk_server *server)
{
	uint64_t wait_ns = 0;

	/* Of a thread's usual slack of 50 us, a short sleep would be mostly slack. */
	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	/* Memory that this thread asks for is not waited for until this device is written to.
	 * Without the right to ask for that it goes well until memory is short. */
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	begin(server);
	while (server->live && !server->is_stopping) {
		/* Without sched_yield: see round_lock.h. */
		if (!wait_ns)
			_mm_pause();
		storage_ring_enter(&server->ring, wait_ns);
		round_lock_take(&server->lock);
		wait_ns = do_round(server);
		round_lock_give(&server->lock);
	}
}

/* --- what other threads ask for --- */

void ublk_server_stop(struct ublk_server *server)
{
	eventfd_write(server->stop_fd, 1);
}

int ublk_server_reconnect(struct ublk_server *server, void *base, uint64_t bytes,
			  uint64_t generation)
{
	int result, error;

	round_lock_pause(&server->lock);
	result = storage_frontend_reconnect(server->queue.frontend, base, bytes, generation);
	error = errno;
	round_lock_resume(&server->lock);
	errno = error;
	return result;
}

struct ublk_counters ublk_server_counters(struct ublk_server *server)
{
	struct ublk_counters counters;

	round_lock_pause(&server->lock);
	counters = server->counters;
	counters.frontend = storage_frontend_counters(server->queue.frontend);
	round_lock_resume(&server->lock);
	return counters;
}
