// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "net_load.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "net_link.h"
#include "net_socket.h"

enum {
	NS_A_SECOND = 1000000000,
	BULK_BYTES = 256 << 10,
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_A_SECOND + (uint64_t)now.tv_nsec;
}

/* --- UDP --- */

static int ask(int socket, uint8_t *message, uint32_t bytes, uint64_t number)
{
	static _Thread_local uint8_t answer[NET_LOAD_BYTES_MAX];
	ssize_t came;

	memcpy(message, &number, sizeof(number));
	if (send(socket, message, bytes, 0) < 0)
		return errno;
	came = recv(socket, answer, sizeof(answer), 0);
	if (came < 0)
		return errno;
	return (size_t)came == bytes && !memcmp(answer, message, bytes) ? 0 : EBADMSG;
}

int net_load_ask(int socket, uint32_t bytes, uint32_t count, uint64_t gap_ns,
		 uint32_t *latencies_ns)
{
	static _Thread_local uint8_t message[NET_LOAD_BYTES_MAX];
	const struct timespec gap = { (time_t)(gap_ns / NS_A_SECOND), (long)(gap_ns % NS_A_SECOND) };

	if (bytes < NET_LOAD_BYTES_MIN || bytes > NET_LOAD_BYTES_MAX)
		return EINVAL;
	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t begin_ns, took_ns;
		int error;

		if (gap_ns)
			nanosleep(&gap, NULL);
		begin_ns = now_ns();
		error = ask(socket, message, bytes, i);
		if (error)
			return error;
		took_ns = now_ns() - begin_ns;
		latencies_ns[i] = took_ns < UINT32_MAX ? (uint32_t)took_ns : UINT32_MAX;
	}
	return 0;
}

int net_load_echo(int socket)
{
	static _Thread_local uint8_t message[NET_LOAD_BYTES_MAX];

	for (;;) {
		struct sockaddr_storage from;
		socklen_t from_bytes = sizeof(from);
		const ssize_t bytes = recvfrom(socket, message, sizeof(message), 0,
					       (struct sockaddr *)&from, &from_bytes);

		if (bytes < 0 || sendto(socket, message, (size_t)bytes, 0,
					(const struct sockaddr *)&from, from_bytes) < 0)
			return errno;
	}
}

/* --- a relay --- */

static int pass(int from, int to, uint8_t *frame)
{
	const ssize_t bytes = read(from, frame, NET_FRAME_BYTES_MAX);

	if (bytes < 0)
		return errno == EAGAIN ? 0 : errno;
	/* What does not fit is lost, as at any NIC. */
	return write(to, frame, (size_t)bytes) < 0 && errno != EAGAIN ? errno : 0;
}

int net_load_relay(int tap, uint32_t nic_index, uint64_t mac)
{
	static _Thread_local uint8_t frame[NET_FRAME_BYTES_MAX];
	const int nic = net_socket_open(nic_index);
	int error;

	if (nic < 0)
		return errno;
	error = net_socket_receive_for(nic, &mac, 1) < 0 ? errno : 0;
	while (!error) {
		error = pass(tap, nic, frame);
		if (!error)
			error = pass(nic, tap, frame);
	}
	close(nic);
	return error;
}

/* --- TCP --- */

int net_load_flood(int socket, double seconds)
{
	static _Thread_local uint8_t bulk[BULK_BYTES];
	const uint64_t end_ns = now_ns() + (uint64_t)(seconds * NS_A_SECOND);

	while (now_ns() < end_ns) {
		if (send(socket, bulk, sizeof(bulk), MSG_NOSIGNAL) < 0)
			return errno;
	}
	return shutdown(socket, SHUT_WR) < 0 ? errno : 0;
}

int net_load_sink(int socket, uint64_t *bytes, double *seconds)
{
	static _Thread_local uint8_t bulk[BULK_BYTES];
	uint64_t begin_ns = 0, end_ns = 0;
	ssize_t came;

	*bytes = 0;
	while ((came = recv(socket, bulk, sizeof(bulk), 0)) > 0) {
		end_ns = now_ns();
		if (!begin_ns)
			begin_ns = end_ns;
		*bytes += (uint64_t)came;
	}
	*seconds = (double)(end_ns - begin_ns) / NS_A_SECOND;
	return came < 0 ? errno : 0;
}
