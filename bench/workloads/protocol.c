// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "protocol.h"

int send_fully(int socket, const char *data, size_t bytes)
{
	while (bytes) {
		ssize_t sent = send(socket, data, bytes, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return -1;
		data += sent;
		bytes -= (size_t)sent;
	}
	return 0;
}

static int key_digits(uint64_t key)
{
	int digits = 1;

	while (key >= 10) {
		key /= 10;
		digits++;
	}
	return digits;
}

/* Both protocols end a value with CR LF; snprintf's NUL is overwritten. */
static size_t append_value(char *out, size_t at, const char *value, size_t bytes)
{
	memcpy(out + at, value, bytes);
	memcpy(out + at + bytes, "\r\n", 2);
	return at + bytes + 2;
}

static size_t redis_get(char *out, const uint64_t *keys, uint32_t nr_keys)
{
	int at = snprintf(out, REQUEST_BYTES, "*%u\r\n$4\r\nMGET\r\n", nr_keys + 1);

	for (uint32_t i = 0; i < nr_keys; i++)
		at += snprintf(out + at, REQUEST_BYTES - at, "$%d\r\nkey:%" PRIu64 "\r\n",
			       4 + key_digits(keys[i]), keys[i]);
	return (size_t)at;
}

static size_t redis_set(char *out, uint64_t key, const char *value, size_t bytes)
{
	int head = snprintf(out, REQUEST_BYTES,
			    "*3\r\n$3\r\nSET\r\n$%d\r\nkey:%" PRIu64 "\r\n$%zu\r\n",
			    4 + key_digits(key), key, bytes);

	return append_value(out, (size_t)head, value, bytes);
}

/* The end of the line at *at, which then is the next line's start; NULL: not here yet. */
static const char *next_line(const char **at, const char *end)
{
	const char *line = *at;
	const char *newline = memchr(line, '\n', (size_t)(end - line));

	if (!newline)
		return NULL;
	*at = newline + 1;
	return line;
}

static int redis_complete(const char *answer, size_t length)
{
	const char *at = answer, *end = answer + length;
	const char *line = next_line(&at, end);
	long values;

	if (!line)
		return 0;
	if (line[0] != '*')
		return line[0] == '+' ? 1 : -1;
	for (values = strtol(line + 1, NULL, 10); values > 0; values--) {
		long bytes;

		line = next_line(&at, end);
		if (!line)
			return 0;
		bytes = line[0] == '$' ? strtol(line + 1, NULL, 10) : -1;
		if (bytes < 0)
			return -1;
		if (end - at < bytes + 2)
			return 0;
		at += bytes + 2;
	}
	return 1;
}

static int wait_for_answer(int socket, int (*complete)(const char *, size_t))
{
	char answer[256];
	size_t length = 0;

	while (length < sizeof(answer) - 1) {
		ssize_t got = recv(socket, answer + length, sizeof(answer) - 1 - length, 0);
		int done;

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -1;
		length += (size_t)got;
		answer[length] = '\0';
		done = complete(answer, length);
		if (done < 0)
			fprintf(stderr, "populate: the server answered %s", answer);
		if (done)
			return done > 0 ? 0 : -1;
	}
	return -1;
}

/* The server makes the records itself, in one command, in milliseconds a thousand. */
static int redis_populate(int socket, uint64_t records, const char *value, size_t bytes)
{
	char number[24], size[24], request[256];
	int length;

	(void)value;
	snprintf(number, sizeof(number), "%" PRIu64, records);
	snprintf(size, sizeof(size), "%zu", bytes);
	length = snprintf(request, sizeof(request),
			  "*5\r\n$5\r\nDEBUG\r\n$8\r\nPOPULATE\r\n$%zu\r\n%s\r\n$3\r\nkey\r\n$%zu\r\n%s\r\n",
			  strlen(number), number, strlen(size), size);
	if (send_fully(socket, request, (size_t)length) != 0)
		return -1;
	return wait_for_answer(socket, redis_complete);
}

static size_t memcached_get(char *out, const uint64_t *keys, uint32_t nr_keys)
{
	int at = snprintf(out, REQUEST_BYTES, "get");

	for (uint32_t i = 0; i < nr_keys; i++)
		at += snprintf(out + at, REQUEST_BYTES - at, " key:%" PRIu64, keys[i]);
	memcpy(out + at, "\r\n", 2);
	return (size_t)at + 2;
}

static size_t memcached_set(char *out, uint64_t key, const char *value, size_t bytes)
{
	int head = snprintf(out, REQUEST_BYTES, "set key:%" PRIu64 " 0 0 %zu\r\n", key, bytes);

	return append_value(out, (size_t)head, value, bytes);
}

static int memcached_complete(const char *answer, size_t length)
{
	if (length < 5)
		return 0;
	if (memcmp(answer, "VALUE", 5) == 0)
		return length >= 7 && memcmp(answer + length - 7, "\r\nEND\r\n", 7) == 0;
	if (memcmp(answer, "STORE", 5) == 0)
		return answer[length - 1] == '\n';
	return -1;
}

static int memcached_version_complete(const char *answer, size_t length)
{
	if (length < 7)
		return 0;
	if (memcmp(answer, "VERSION", 7) != 0)
		return -1;
	return answer[length - 1] == '\n';
}

static int memcached_populate(int socket, uint64_t records, const char *value, size_t bytes)
{
	static char batch[32 * REQUEST_BYTES];
	size_t length = 0;

	for (uint64_t key = 0; key < records; key++) {
		int head = snprintf(batch + length, REQUEST_BYTES,
				    "set key:%" PRIu64 " 0 0 %zu noreply\r\n", key, bytes);

		length = append_value(batch, length + (size_t)head, value, bytes);
		if (length + REQUEST_BYTES <= sizeof(batch) && key + 1 < records)
			continue;
		if (send_fully(socket, batch, length) != 0)
			return -1;
		length = 0;
	}
	if (send_fully(socket, "version\r\n", 9) != 0)
		return -1;
	return wait_for_answer(socket, memcached_version_complete);
}

const struct protocol protocol_redis = {
	.name = "redis",
	.get = redis_get,
	.set = redis_set,
	.complete = redis_complete,
	.populate = redis_populate,
};

const struct protocol protocol_memcached = {
	.name = "memcached",
	.get = memcached_get,
	.set = memcached_set,
	.complete = memcached_complete,
	.populate = memcached_populate,
};
