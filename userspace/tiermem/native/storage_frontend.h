/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The frontend's end of a link: commands are submitted under tags, and results polled.
 * One thread uses it. A block device (ublk) or a test is on top of it.
 *
 * A tag is taken, its buffer filled, submitted, its result polled, its buffer read, and
 * released. A backend that goes silent leaves commands pending, until the frontend is
 * connected anew, which submits them again, or until their time is over. Those failed:
 * the backend may still run them, so nothing is submitted on that link any more until
 * the backend has answered all of them, or the frontend is connected anew.
 */
#ifndef STORAGE_FRONTEND_H
#define STORAGE_FRONTEND_H

#ifndef TIERMEM_CDEF
#include <stdint.h>

#include "channel_wait.h"
#include "storage_link.h"
#endif

enum storage_submitted {
	STORAGE_SUBMITTED = 0,
	STORAGE_NOT_HELD = -1,	/* the tag was not taken, or is pending already */
	STORAGE_TOO_LARGE = -2,	/* more than a tag's buffer takes */
	STORAGE_SILENT = -3,	/* the backend did not answer in time */
};

struct storage_request {
	uint8_t opcode, flags;
	uint32_t slice;
	uint64_t lba;		/* of the slice, in the link's blocks */
	uint32_t blocks;
};

struct storage_result {
	uint16_t tag;
	uint16_t status;	/* enum storage_status */
};

struct storage_frontend_counters {
	uint64_t submitted, completed;
	uint64_t timed_out;
	uint64_t resubmitted;
	uint64_t refused;	/* completions of nothing that is in flight */
};

struct storage_frontend;

/* timeout_ns: how long a command may be pending; 0: for ever. NULL with errno: ENOENT
 * where there is no such link. The link stays mapped until the frontend is destroyed or
 * connected to another. */
struct storage_frontend *storage_frontend_create(void *base, uint64_t bytes, uint64_t generation,
						 uint64_t timeout_ns, uint64_t sleep_max_ns);
void storage_frontend_destroy(struct storage_frontend *frontend);

/* To a link of the same sizes to another backend: what is pending is submitted there,
 * with all its time. Where buffers lie has changed. -1 with errno: ENOENT, EINVAL. */
int storage_frontend_reconnect(struct storage_frontend *frontend, void *base, uint64_t bytes,
			       uint64_t generation);

uint32_t storage_frontend_tags(const struct storage_frontend *frontend);
uint32_t storage_frontend_block_bytes(const struct storage_frontend *frontend);
uint32_t storage_frontend_buffer_bytes(const struct storage_frontend *frontend);

/* -1: all are in use. */
int storage_frontend_take_tag(struct storage_frontend *frontend);
/* Of a tag that the caller holds: taken, or with a result. -1: it is none. */
int storage_frontend_release(struct storage_frontend *frontend, uint32_t tag);
uint8_t *storage_frontend_buffer(struct storage_frontend *frontend, uint32_t tag);

/* What is to be written lies in the tag's buffer, and stays there until the result. */
enum storage_submitted storage_frontend_submit(struct storage_frontend *frontend, uint32_t tag,
					       const struct storage_request *request);

/* Results, `most` at most; what was read lies in the tags' buffers. Tags are the
 * caller's again, but for those whose status is STORAGE_PATH_ERROR: these are released. */
uint32_t storage_frontend_poll(struct storage_frontend *frontend, struct storage_result *results,
			       uint32_t most);
/* The same, once there is one, or after timeout_ns. */
uint32_t storage_frontend_wait(struct storage_frontend *frontend, struct storage_result *results,
			       uint32_t most, uint64_t timeout_ns);

uint32_t storage_frontend_pending(const struct storage_frontend *frontend);
struct storage_frontend_counters
storage_frontend_counters(const struct storage_frontend *frontend);

#endif
