// SPDX-License-Identifier: GPL-2.0-or-later
#include "make_process.h"

#include <linux/sched.h>

#include "arena.h"
#include "attributes.h"
#include "clear.h"
#include "credentials.h"
#include "descriptors.h"
#include "kernels_own.h"
#include "lazy_pages.h"
#include "memory.h"
#include "memory_fields.h"
#include "messages.h"
#include "restorer.h"
#include "signals.h"
#include "threads.h"
#include "timers.h"

enum {
	UNIX_SOCKETS = 1,	/* AF_UNIX */
	PACKETS = 5,		/* SOCK_SEQPACKET */
};

static void tell(struct restorer *r, enum restore_outcome outcome)
{
	struct progress progress = { .report = r->report, .arena_at = r->arena.start };

	progress.report.outcome = outcome;
	send_message(r->channel, &progress, sizeof(progress), -1);
}

_Noreturn static void give_up(struct restorer *r)
{
	tell(r, RESTORE_FAILED);
	leave(1);
}

/* From here on, nothing of what the restorer had open or mapped is needed. */
_Noreturn static void come_to_rest(struct restorer *r)
{
	call(munmap, r->pool_map_at, r->pool_map_bytes);
	for (int i = 0; i < RESTORE_FDS; i++)
		if (r->fds[i] >= 0)
			call(close, r->fds[i]);
	if (r->lazy >= 0)
		call(close, r->lazy);
	tell(r, RESTORE_RUNS);
	call(close, r->channel);
	park(&r->thread_done);
}

static int make_in_arena(struct restorer *r)
{
	int result = clear_address_space(r);

	if (result == 0)
		result = lazy_pages_begin(r);
	if (result == 0)
		result = make_memory(r);
	if (result == 0)
		result = place_kernels_own(r);
	if (result == 0)
		result = set_memory_fields(r);
	phase_ends(r, RESTORE_PHASE_MEMORY);
	if (result == 0)
		result = set_actions(r);
	if (result == 0)
		result = set_users(r);
	if (result == 0)
		result = make_threads(r);
	phase_ends(r, RESTORE_PHASE_THREADS);
	if (result == 0)
		result = set_attributes(r);
	if (result == 0)
		result = make_timers(r);
	if (result == 0)
		result = finish_leader(r);
	phase_ends(r, RESTORE_PHASE_ATTRIBUTES);
	return result;
}

_Noreturn static void go_on_in_arena(struct restorer *r)
{
	if (make_in_arena(r) < 0)
		give_up(r);
	come_to_rest(r);
}

_Noreturn static void become_process(struct restorer *r)
{
	int result = make_descriptors(r);

	phase_ends(r, RESTORE_PHASE_DESCRIPTORS);
	if (result == 0)
		enter_arena(r, go_on_in_arena);
	give_up(r);
}

static int open_channel(struct restorer *r, int *ends)
{
	long lowest = (long)r->image->max_fd + 1;
	long result = call(socketpair, UNIX_SOCKETS, PACKETS | SYSTEM_O_CLOEXEC, 0, ends);

	for (int i = 0; i < 2 && result >= 0; i++) {
		long moved = call(fcntl, ends[i], SYSTEM_F_DUPFD_CLOEXEC, lowest);

		call(close, ends[i]);
		ends[i] = (int)moved;
		result = moved;
	}
	return result < 0 ? failed(r, RESTORE_STEP_PROCESS, 0, result) : 0;
}

int make_process(struct restorer *r)
{
	int pid = r->image->process.pid, ends[2];
	struct clone_args arguments = {
		.exit_signal = SYSTEM_SIGCHLD,
		.set_tid = (uintptr_t)&pid,
		.set_tid_size = 1,
	};
	long result = open_channel(r, ends);

	if (result < 0)
		return (int)result;
	result = call(clone3, &arguments, sizeof(arguments));
	if (result < 0)
		return failed(r, RESTORE_STEP_PROCESS, (uint64_t)pid, result);
	r->channel = ends[result == 0];
	call(close, ends[result != 0]);
	if (result == 0) {
		call(close, r->control);
		become_process(r);
	}
	for (int i = 0; i < RESTORE_FDS; i++)
		if (r->fds[i] >= 0)
			call(close, r->fds[i]);
	return (int)result;
}
