// SPDX-License-Identifier: GPL-2.0-or-later
#define _GNU_SOURCE

#include "fork_trace.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef NT_X86_XSTATE
#define NT_X86_XSTATE 0x202
#endif
#ifndef PTRACE_GET_RSEQ_CONFIGURATION
#define PTRACE_GET_RSEQ_CONFIGURATION 0x420f
#endif

/* struct ptrace_rseq_configuration of <linux/ptrace.h>, which does not go with sys/ptrace.h */
struct rseq_configuration {
	uint64_t address;
	uint32_t bytes;
	uint32_t signature;
	uint32_t flags;
	uint32_t pad;
};

/* struct rseq_cs of <linux/rseq.h> */
struct rseq_section {
	uint32_t version;
	uint32_t flags;
	uint64_t start;
	uint64_t bytes;
	uint64_t abort;
};

_Static_assert(sizeof(struct user_regs_struct) == TRACE_REGISTERS * sizeof(uint64_t), "registers");
_Static_assert(sizeof(siginfo_t) == TRACE_SIGINFO_BYTES, "siginfo_t");
_Static_assert(sizeof(struct rseq_section) == 32, "struct rseq_cs");

enum {
	/* What the kernel leaves in rax for itself, from include/linux/errno.h. */
	RESTART_SYS = 512,
	RESTART_NO_INTR = 513,
	RESTART_NO_HAND = 514,
	RESTART_BLOCK = 516,

	RSEQ_SECTION_AT = 8,	/* rseq_cs in struct rseq */
	SYSCALL_BYTES = 2,
	SYSCALL_STOP = SIGTRAP | 0x80,
	POLL_NS = 50000,
	CALL_LIMIT_S = 10,
};

static const uint64_t ns_per_s = UINT64_C(1000000000);

static int failed(long result)
{
	return result < 0 ? -errno : 0;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * ns_per_s + (uint64_t)now.tv_nsec;
}

static int wait_stopped(int tid, int *status, uint64_t deadline_ns)
{
	const struct timespec pause = { 0, POLL_NS };

	for (;;) {
		const pid_t found = waitpid(tid, status, __WALL | WNOHANG);

		if (found == tid)
			return WIFSTOPPED(*status) ? 0 : -ESRCH;
		if (found < 0 && errno != EINTR)
			return -errno;
		if (found == 0) {
			if (now_ns() > deadline_ns)
				return -ETIMEDOUT;
			nanosleep(&pause, NULL);
		}
	}
}

static int get_registers(int tid, struct user_regs_struct *registers)
{
	struct iovec room = { registers, sizeof(*registers) };

	return failed(ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &room));
}

static int set_registers(int tid, const struct user_regs_struct *registers)
{
	struct user_regs_struct wanted = *registers;
	struct iovec room = { &wanted, sizeof(wanted) };

	return failed(ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &room));
}

static int set_signal_mask(int tid, uint64_t mask)
{
	return failed(ptrace(PTRACE_SETSIGMASK, tid, sizeof(mask), &mask));
}

static int peek(int tid, uint64_t address, void *into, size_t words)
{
	for (size_t i = 0; i < words; i++) {
		long word;

		errno = 0;
		word = ptrace(PTRACE_PEEKDATA, tid, address + i * sizeof(word), 0);
		if (errno)
			return -errno;
		memcpy((uint8_t *)into + i * sizeof(word), &word, sizeof(word));
	}
	return 0;
}

/*
 * The kernel aborts the sequence of a thread that it has interrupted, when the thread goes
 * on. Calls made from elsewhere would make it forget that, so it is done here.
 */
static int abort_sequence(int tid, struct user_regs_struct *registers)
{
	struct trace_rseq rseq;
	struct rseq_section section;
	uint64_t at;
	int err = trace_get_rseq(tid, &rseq);

	/* A kernel before 5.13 cannot say; there is none whose libc would use it. */
	if (err == -EIO || (!err && !rseq.address))
		return 0;
	if (!err)
		err = peek(tid, rseq.address + RSEQ_SECTION_AT, &at, 1);
	if (err || !at)
		return err;
	err = peek(tid, at, &section, sizeof(section) / sizeof(long));
	if (!err && registers->rip - section.start < section.bytes)
		registers->rip = section.abort;
	return err;
}

/* Calls that the kernel does not make again by itself, although nothing has happened. */
static int is_cut_short_for_good(const struct user_regs_struct *registers)
{
	if ((int64_t)registers->rax != -EINTR)
		return 0;
	switch ((int64_t)registers->orig_rax) {
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
#ifdef SYS_epoll_pwait2
	case SYS_epoll_pwait2:
#endif
	case SYS_semop:
	case SYS_semtimedop:
	case SYS_rt_sigtimedwait:
	case SYS_io_getevents:
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_recvmmsg:
	case SYS_accept:
	case SYS_accept4:
		return 1;
	default:
		return 0;
	}
}

static int settle(int tid)
{
	struct user_regs_struct before, now;
	int err = get_registers(tid, &before);

	if (err)
		return err;
	now = before;
	err = abort_sequence(tid, &now);
	/* Made again, unless a handler runs first: then it has failed with EINTR. */
	if (is_cut_short_for_good(&now))
		now.rax = (uint64_t)-RESTART_NO_HAND;
	if (!err && memcmp(&now, &before, sizeof(now)))
		err = set_registers(tid, &now);
	return err;
}

int trace_seize(int tid, uint64_t limit_ns)
{
	const uint64_t deadline_ns = now_ns() + limit_ns;
	int status, err;

	err = failed(ptrace(PTRACE_SEIZE, tid, 0, (long)PTRACE_O_TRACESYSGOOD));
	if (!err)
		err = failed(ptrace(PTRACE_INTERRUPT, tid, 0, 0));
	if (!err)
		err = wait_stopped(tid, &status, deadline_ns);
	/* A signal came first: it is delivered, and the interrupt comes next. */
	while (!err && status >> 16 != PTRACE_EVENT_STOP) {
		err = failed(ptrace(PTRACE_CONT, tid, 0, (long)WSTOPSIG(status)));
		if (!err)
			err = wait_stopped(tid, &status, deadline_ns);
	}
	return err ? err : settle(tid);
}

int trace_detach(int tid)
{
	return failed(ptrace(PTRACE_DETACH, tid, 0, 0));
}

int trace_get_registers(int tid, uint64_t *registers)
{
	struct user_regs_struct found;
	int err = get_registers(tid, &found);

	if (!err)
		memcpy(registers, &found, sizeof(found));
	return err;
}

static void make_ready(struct user_regs_struct *registers)
{
	if ((int64_t)registers->orig_rax >= 0) {
		switch (-(int64_t)registers->rax) {
		case RESTART_SYS:
		case RESTART_NO_INTR:
		case RESTART_NO_HAND:
		case RESTART_BLOCK:
			registers->rip -= SYSCALL_BYTES;
			registers->rax = registers->orig_rax;
		}
	}
	registers->orig_rax = ~UINT64_C(0);
}

void trace_ready_registers(uint64_t *registers)
{
	struct user_regs_struct ready;

	memcpy(&ready, registers, sizeof(ready));
	make_ready(&ready);
	memcpy(registers, &ready, sizeof(ready));
}

int trace_get_xstate(int tid, uint8_t *into, size_t *bytes)
{
	struct iovec room = { into, *bytes };
	int err = failed(ptrace(PTRACE_GETREGSET, tid, NT_X86_XSTATE, &room));

	*bytes = room.iov_len;
	return err;
}

int trace_get_signal_mask(int tid, uint64_t *mask)
{
	return failed(ptrace(PTRACE_GETSIGMASK, tid, sizeof(*mask), mask));
}

int trace_peek_signals(int tid, uint64_t first, int shared, uint8_t *into, int limit)
{
	struct __ptrace_peeksiginfo_args asked = {
		.off = first,
		.flags = shared ? PTRACE_PEEKSIGINFO_SHARED : 0,
		.nr = limit,
	};
	long found = ptrace(PTRACE_PEEKSIGINFO, tid, &asked, into);

	return found < 0 ? -errno : (int)found;
}

int trace_get_rseq(int tid, struct trace_rseq *into)
{
	struct rseq_configuration found = { 0 };
	int err = failed(ptrace(PTRACE_GET_RSEQ_CONFIGURATION, tid, sizeof(found), &found));

	into->address = found.address;
	into->bytes = found.bytes;
	into->signature = found.signature;
	return err;
}

int trace_get_robust_list(int tid, uint64_t *address, uint64_t *bytes)
{
	size_t found_bytes;
	void *found;
	int err = failed(syscall(SYS_get_robust_list, tid, &found, &found_bytes));

	if (!err) {
		*address = (uint64_t)(uintptr_t)found;
		*bytes = found_bytes;
	}
	return err;
}

/*
 * From here on to trace_calls_end the thread's registers are always such that it comes out
 * right if it is let go. Signals are blocked after it has left its own code for its net,
 * which restores the mask, and before it goes back there they are not blocked any more.
 */
int trace_calls_begin(struct trace_calls *calls, int tid, uint64_t instruction, uint64_t stack)
{
	memset(calls, 0, sizeof(*calls));
	calls->tid = tid;
	calls->instruction = instruction;
	calls->stack = stack;
	return trace_get_registers(tid, calls->before);
}

static int block_signals(struct trace_calls *calls)
{
	int err = trace_get_signal_mask(calls->tid, &calls->mask);

	return err ? err : set_signal_mask(calls->tid, ~UINT64_C(0));
}

/* Until the next stop of a call; a stop of the whole process on the way is passed over. */
static int go_to_call_stop(int tid)
{
	const uint64_t deadline_ns = now_ns() + CALL_LIMIT_S * ns_per_s;
	int status, err;

	do {
		err = failed(ptrace(PTRACE_SYSCALL, tid, 0, 0));
		if (!err)
			err = wait_stopped(tid, &status, deadline_ns);
	} while (!err && status >> 16 == PTRACE_EVENT_STOP);
	if (!err && WSTOPSIG(status) != SYSCALL_STOP)
		err = -EPROTO;
	return err;
}

int trace_call(struct trace_calls *calls, int64_t number, const uint64_t *arguments,
	       int64_t *result)
{
	struct user_regs_struct now;
	int err;

	memcpy(&now, calls->before, sizeof(now));
	now.orig_rax = ~UINT64_C(0);
	now.rip = calls->instruction;
	now.rsp = calls->stack;
	now.rax = (uint64_t)number;
	now.rdi = arguments[0];
	now.rsi = arguments[1];
	now.rdx = arguments[2];
	now.r10 = arguments[3];
	now.r8 = arguments[4];
	now.r9 = arguments[5];
	err = set_registers(calls->tid, &now);
	if (!err && !calls->is_moved)
		err = block_signals(calls);
	calls->is_moved = !err;
	if (!err)
		err = go_to_call_stop(calls->tid);
	if (!err)
		err = go_to_call_stop(calls->tid);
	if (!err)
		err = get_registers(calls->tid, &now);
	if (!err)
		*result = (int64_t)now.rax;
	return err;
}

/*
 * The thread stays at the end of its last call. When it is let go, the kernel has it look
 * for signals, and thereby for a call of its own that is to be made again.
 */
int trace_calls_end(struct trace_calls *calls)
{
	struct user_regs_struct before;
	int err;

	if (!calls->is_moved)
		return 0;
	memcpy(&before, calls->before, sizeof(before));
	err = set_signal_mask(calls->tid, calls->mask);
	if (!err)
		err = set_registers(calls->tid, &before);
	return err;
}
