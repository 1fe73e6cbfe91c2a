// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * YCSB's core workload against Redis or memcached over a Unix socket: records
 * drawn by a scrambled Zipf (0.99), read_percent of the requests read, the
 * others overwrite with a value of the same size. A read fetches `keys` records
 * at once (a multi-get), each drawn by itself. A few connections, one request in
 * flight on each (no pipelining); a request's latency is modelled time from its
 * first byte sent to its last byte received. A unit is a request.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "draw.h"
#include "phase.h"
#include "protocol.h"

#define CONNECTIONS_MAX 32
#define ANSWER_BYTES (KEYS_MAX * (VALUE_BYTES_MAX + 64))

struct load {
	const struct protocol *protocol;
	int sockets[CONNECTIONS_MAX];
	uint64_t sent_ns[CONNECTIONS_MAX];
	size_t expected_bytes[CONNECTIONS_MAX];	/* of values, at least */
	uint32_t connections, read_percent, value_bytes, keys;
	uint64_t records, salt;
	struct zipf zipf;
	struct draw draw;
	char value[VALUE_BYTES_MAX];
};

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path)) {
		fprintf(stderr, "socket=%s: the path is too long\n", path);
		exit(2);
	}
	strcpy(address.sun_path, path);
	for (int tries = 0; tries < 500; tries++) {
		if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
			return fd;
		usleep(20000);
	}
	fprintf(stderr, "socket=%s: %s\n", path, strerror(errno));
	exit(1);
}

/* Popular records must not be neighbours: scatter the ranks over the keys. */
static uint64_t draw_key(struct load *load)
{
	uint64_t rank = zipf_rank(&load->zipf, &load->draw);

	return (uint64_t)(((unsigned __int128)scatter64(rank + load->salt) * load->records) >> 64);
}

static void send_request(struct load *load, uint32_t connection)
{
	bool reads = draw_below(&load->draw, 100) < load->read_percent;
	uint32_t nr_keys = reads ? load->keys : 1;
	char request[REQUEST_BYTES];
	uint64_t keys[KEYS_MAX];
	size_t length;

	for (uint32_t i = 0; i < nr_keys; i++)
		keys[i] = draw_key(load);
	if (reads)
		length = load->protocol->get(request, keys, nr_keys);
	else
		length = load->protocol->set(request, keys[0], load->value, load->value_bytes);
	load->expected_bytes[connection] = reads ? (size_t)nr_keys * load->value_bytes : 0;
	load->sent_ns[connection] = clock_now_ns();
	if (send_fully(load->sockets[connection], request, length) != 0) {
		perror("send");
		exit(1);
	}
}

static void receive_answer(struct load *load, uint32_t connection)
{
	static char answer[ANSWER_BYTES];
	size_t length = 0;
	int done = 0;

	while (!done) {
		ssize_t got = recv(load->sockets[connection], answer + length,
				   sizeof(answer) - 1 - length, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			fprintf(stderr, "receive: %s\n", got ? strerror(errno) : "closed");
			exit(1);
		}
		length += (size_t)got;
		answer[length] = '\0';
		done = load->protocol->complete(answer, length);
	}
	if (done < 0 || length < load->expected_bytes[connection]) {
		fprintf(stderr, "the server answered %.60s\n", answer);
		exit(1);
	}
}

static void work(void *state, struct phase *phase)
{
	struct load *load = state;

	for (uint64_t unit = 0; unit < phase->units; unit += load->connections) {
		for (uint32_t i = 0; i < load->connections; i++)
			send_request(load, i);
		for (uint32_t i = 0; i < load->connections; i++) {
			receive_answer(load, i);
			phase_latency(phase, clock_now_ns() - load->sent_ns[i]);
		}
	}
}

static const struct protocol *protocol_named(const char *name)
{
	if (strcmp(name, protocol_redis.name) == 0)
		return &protocol_redis;
	if (strcmp(name, protocol_memcached.name) == 0)
		return &protocol_memcached;
	fprintf(stderr, "protocol=%s: redis or memcached is needed\n", name);
	exit(2);
}

int main(int argc, char **argv)
{
	static struct load load;
	struct params params = params_from(argc, argv);
	struct phase_options options = phase_options_from(&params);
	const char *path = params_text(&params, "socket", "/run/bench.sock");

	load.protocol = protocol_named(params_text(&params, "protocol", "redis"));
	load.records = params_number(&params, "records", 400000, 2, UINT32_MAX);
	load.value_bytes = params_number(&params, "value_bytes", 1000, 1, VALUE_BYTES_MAX);
	load.read_percent = params_number(&params, "read_percent", 95, 0, 100);
	load.keys = params_number(&params, "keys", 1, 1, KEYS_MAX);
	load.connections = params_number(&params, "connections", 8, 1, CONNECTIONS_MAX);
	params_done(&params);
	clock_open(options.clock);
	load.draw = draw_seeded(options.seed);
	load.salt = options.seed * 0x9e3779b97f4a7c15ull;
	load.zipf = zipf_over(load.records, 0.99);
	memset(load.value, 'v', sizeof(load.value));
	for (uint32_t i = 0; i < load.connections; i++)
		load.sockets[i] = connect_to(path);
	if (load.protocol->populate(load.sockets[0], load.records, load.value,
				    load.value_bytes) != 0) {
		fprintf(stderr, "%s: could not be filled\n", path);
		return 1;
	}
	return phase_serve(work, &load, 1);
}
