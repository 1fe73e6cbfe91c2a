// SPDX-License-Identifier: GPL-2.0-or-later
#include "serve.h"

#include <asm/poll.h>
#include <linux/errno.h>
#include <linux/mman.h>

#include "arena.h"
#include "bytes.h"
#include "control.h"
#include "lazy_pages.h"
#include "messages.h"
#include "registers.h"
#include "restorer.h"

enum {
	POLL_CONTROL,
	POLL_CHANNEL,
	POLL_CHILDREN,
	POLL_LAZY,	/* and those that follow */
	LAZY_MAX = 4096,
};

struct polled {
	int32_t fd;
	int16_t events;
	int16_t happened;
};

/* Most of it is never touched: it is made of pages that come when they are needed. */
struct served {
	struct polled polled[POLL_LAZY + LAZY_MAX];
	struct lazy_pages lazy[LAZY_MAX];
	uint32_t nr_lazy;
	int pid;
	int runs;	/* the process has begun to run by itself */
	int has_ended;
	int status;
};

_Noreturn static void fail(struct restorer *r, enum restore_step step, long result)
{
	failed(r, step, 0, result);
	report_failure(r);
	leave(1);
}

static struct served *make_served(struct restorer *r, int pid)
{
	uint64_t children = 1ULL << (SYSTEM_SIGCHLD - 1);
	long at = call(mmap, NULL, sizeof(struct served), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct served *served = (struct served *)at;
	long fd = call(signalfd4, -1, &children, SYSTEM_SIGNAL_SET_BYTES,
		       SYSTEM_O_CLOEXEC | SYSTEM_O_NONBLOCK);

	if (at < 0 || fd < 0)
		fail(r, RESTORE_STEP_PROCESS, at < 0 ? at : fd);
	served->pid = pid;
	served->polled[POLL_CONTROL] = (struct polled){ r->control, POLLIN, 0 };
	served->polled[POLL_CHANNEL] = (struct polled){ r->channel, POLLIN, 0 };
	served->polled[POLL_CHILDREN] = (struct polled){ (int)fd, POLLIN, 0 };
	return served;
}

/* An address space more; those that are gone make room. */
static struct lazy_pages *add_lazy(struct restorer *r, struct served *served)
{
	uint32_t i;

	for (i = 0; i < served->nr_lazy; i++)
		if (served->lazy[i].fd >= 0 && !lazy_pages_is_needed(&served->lazy[i]))
			lazy_pages_drop(&served->lazy[i]);
	for (i = 0; i < served->nr_lazy && served->lazy[i].fd >= 0; i++)
		;
	if (i == LAZY_MAX)
		fail(r, RESTORE_STEP_LAZY_PAGES, -E2BIG);
	if (i == served->nr_lazy)
		served->nr_lazy++;
	served->lazy[i].fd = -1;
	return &served->lazy[i];
}

/* Whether something is left that waits for nothing to be read. */
static int serve_lazy(struct restorer *r, struct served *served)
{
	int is_more = 0;

	for (uint32_t i = 0; i < served->nr_lazy; i++) {
		struct lazy_pages *lazy = &served->lazy[i], forked = { .fd = -1 };

		if (lazy->fd < 0)
			continue;
		is_more |= lazy_pages_serve(lazy, r->image, &forked);
		if (forked.fd >= 0)
			*add_lazy(r, served) = forked;
	}
	return is_more;
}

static void begin_to_run(struct restorer *r, struct served *served)
{
	r->phase_began_ns = clock_ns();
	if (set_registers(r) < 0)
		fail(r, RESTORE_STEP_REGISTERS, 0);
	phase_ends(r, RESTORE_PHASE_REGISTERS);
	served->runs = 1;
	if (report_running(r, served->pid) < 0)
		leave(1);
}

/* Whoever asked for the process has more to say, or is gone. */
static void hear_control(struct restorer *r, struct served *served)
{
	if (hear_command(r) == 0)
		return;
	if (!served->runs || r->command.flags & RESTORE_DIE_ALONE)
		leave(1);
	served->polled[POLL_CONTROL].fd = -1;
}

/* It came to its end before it was made. */
_Noreturn static void fail_half_made(struct restorer *r, struct served *served)
{
	int status = served->status;

	if (!served->has_ended)
		call(wait4, served->pid, &status, SYSTEM_WAIT_ALL, NULL);
	fail(r, RESTORE_STEP_DIED, -(status & 0x7f));
}

static void hear_channel(struct restorer *r, struct served *served)
{
	struct progress progress;
	int fd = -1, count;
	long bytes = receive_message(r->channel, &progress, sizeof(progress), &fd, 1, &count);

	if (bytes == -EAGAIN)
		return;
	if (bytes <= 0) {
		served->polled[POLL_CHANNEL].fd = -1;
		call(close, r->channel);
		if (r->report.outcome != RESTORE_RUNS)
			fail_half_made(r, served);
		begin_to_run(r, served);
	} else if (count) {
		if (lazy_pages_take(add_lazy(r, served), fd, r->image) < 0)
			fail(r, RESTORE_STEP_LAZY_PAGES, -ENOMEM);
	} else {
		r->report = progress.report;
		r->arena = (struct arena){ progress.arena_at, ARENA_BYTES };
	}
}

static void reap(struct restorer *r, struct served *served)
{
	uint8_t signals[128];
	int status;
	long pid;

	call(read, served->polled[POLL_CHILDREN].fd, signals, sizeof(signals));
	while ((pid = call(wait4, -1, &status, SYSTEM_WAIT_ALL | SYSTEM_WAIT_NO_HANG, NULL)) > 0) {
		if (pid != served->pid)
			continue;
		served->has_ended = 1;
		served->status = status;
	}
	if (served->has_ended && served->runs) {
		report_end(r, served->status);
		leave(0);
	}
}

_Noreturn void serve(struct restorer *r, int pid)
{
	struct served *served = make_served(r, pid);
	int is_more = 0;

	for (;;) {
		struct {
			int64_t s;
			int64_t ns;
		} at_once = { 0, 0 };
		struct polled *polled = served->polled;

		for (uint32_t i = 0; i < served->nr_lazy; i++)
			polled[POLL_LAZY + i] = (struct polled){ served->lazy[i].fd, POLLIN, 0 };
		call(ppoll, polled, POLL_LAZY + served->nr_lazy, is_more ? &at_once : NULL, NULL,
		     SYSTEM_SIGNAL_SET_BYTES);
		is_more = serve_lazy(r, served);
		if (polled[POLL_CONTROL].happened)
			hear_control(r, served);
		if (polled[POLL_CHANNEL].happened)
			hear_channel(r, served);
		if (polled[POLL_CHILDREN].happened)
			reap(r, served);
	}
}
