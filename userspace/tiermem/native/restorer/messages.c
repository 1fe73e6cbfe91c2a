// SPDX-License-Identifier: GPL-2.0-or-later
#include "messages.h"

#include "bytes.h"
#include "system.h"

enum {
	SOCKET_LEVEL = 1,
	WITH_DESCRIPTORS = 1,	/* SCM_RIGHTS */
	WITH_CREDENTIALS = 2,	/* SCM_CREDENTIALS */
	NO_SIGNAL = 0x4000,	/* MSG_NOSIGNAL */
	CLOSE_ON_EXEC = 0x40000000,
	DESCRIPTORS_MAX = 8,
};

struct message {
	void *name;
	uint32_t name_bytes;
	struct {
		void *at;
		size_t bytes;
	} *parts;
	size_t nr_parts;
	void *control;
	size_t control_bytes;
	int32_t flags;
};

struct control {
	size_t bytes;
	int32_t level;
	int32_t type;
	int32_t values[DESCRIPTORS_MAX];
};

enum { CONTROL_HEADER_BYTES = offsetof(struct control, values) };

_Static_assert(sizeof(struct message) == 56, "struct msghdr");
_Static_assert(CONTROL_HEADER_BYTES == 16, "struct cmsghdr");

long receive_message(int from, void *into, size_t bytes, int *fds, int limit, int *count)
{
	struct control control = { 0 };
	__typeof__(*(struct message){ 0 }.parts) part = { into, bytes };
	struct message message = {
		.parts = &part,
		.nr_parts = 1,
		.control = &control,
		.control_bytes = sizeof(control),
	};
	long got = call(recvmsg, from, &message, CLOSE_ON_EXEC);

	*count = 0;
	if (got > 0 && message.control_bytes >= CONTROL_HEADER_BYTES &&
	    control.type == WITH_DESCRIPTORS)
		*count = (int)((control.bytes - CONTROL_HEADER_BYTES) / sizeof(int32_t));
	for (int i = 0; i < *count; i++) {
		if (i < limit)
			fds[i] = control.values[i];
		else
			call(close, control.values[i]);
	}
	if (*count > limit)
		*count = limit;
	return got;
}

static long send(int to, const void *what, size_t bytes, struct control *control)
{
	__typeof__(*(struct message){ 0 }.parts) part = { (void *)(uintptr_t)what, bytes };
	struct message message = {
		.parts = &part,
		.nr_parts = 1,
		.control = control,
		/* The kernel wants it padded to whole words. */
		.control_bytes = control ? (control->bytes + 7) / 8 * 8 : 0,
	};

	return call(sendmsg, to, &message, NO_SIGNAL);
}

long send_message(int to, const void *what, size_t bytes, int fd)
{
	struct control control = {
		.bytes = CONTROL_HEADER_BYTES + sizeof(int32_t),
		.level = SOCKET_LEVEL,
		.type = WITH_DESCRIPTORS,
		.values = { fd },
	};

	return send(to, what, bytes, fd < 0 ? NULL : &control);
}

long send_message_as(int to, const void *what, size_t bytes, int pid)
{
	struct control control = {
		.bytes = CONTROL_HEADER_BYTES + 3 * sizeof(int32_t),
		.level = SOCKET_LEVEL,
		.type = WITH_CREDENTIALS,
		/* struct ucred: pid, uid, gid */
		.values = { pid, (int32_t)call(getuid), (int32_t)call(getgid) },
	};

	return send(to, what, bytes, &control);
}
