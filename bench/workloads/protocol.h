/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The two wire formats that loadgen speaks. Keys are "key:NUMBER". */
#ifndef BENCH_PROTOCOL_H
#define BENCH_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>

#define REQUEST_BYTES 8192
#define KEYS_MAX 32
#define VALUE_BYTES_MAX (REQUEST_BYTES - 256)

struct protocol {
	const char *name;
	/* Each writes one request to out (REQUEST_BYTES long); returns its length. */
	size_t (*get)(char *out, const uint64_t *keys, uint32_t nr_keys);
	size_t (*set)(char *out, uint64_t key, const char *value, size_t bytes);
	/*
	 * Does the answer so far (length bytes) end one request? 1 yes, 0 more
	 * is to come, -1 it is an error or a miss.
	 */
	int (*complete)(const char *answer, size_t length);
	/* Fill the server with keys 0..records-1 over a blocking socket; 0 on success. */
	int (*populate)(int socket, uint64_t records, const char *value, size_t bytes);
};

extern const struct protocol protocol_redis, protocol_memcached;

/* 0, or -1 with errno. */
int send_fully(int socket, const char *data, size_t bytes);

#endif
