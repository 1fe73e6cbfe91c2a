// SPDX-License-Identifier: GPL-2.0-or-later
#include "registers.h"

#include <linux/elf.h>
#include <linux/errno.h>
#include <linux/ptrace.h>

#include "arena.h"
#include "bytes.h"
#include "restorer.h"

enum {
	SYSCALL_BYTES = 2,	/* of the instruction */
	XSTATE_BYTES_MAX = 16384,
};

#ifndef NT_X86_XSTATE
#define NT_X86_XSTATE 0x202
#endif

/* struct user_regs_struct of x86-64 */
struct registers {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax;
	uint64_t rip, cs, eflags, rsp, ss, fs_base, gs_base, ds, es, fs, gs;
};

_Static_assert(sizeof(struct registers) == IMAGE_REGISTERS * sizeof(uint64_t), "registers");

static long get_registers(int tid, struct registers *registers)
{
	struct {
		void *at;
		size_t bytes;
	} part = { registers, sizeof(*registers) };

	return call(ptrace, PTRACE_GETREGSET, tid, NT_PRSTATUS, &part);
}

static long set_part(int tid, int what, const void *from, size_t bytes)
{
	struct {
		const void *at;
		size_t bytes;
	} part = { from, bytes };

	return call(ptrace, PTRACE_SETREGSET, tid, what, &part);
}

/*
 * Until the thread stops; -ESRCH if it or another of the process ends instead. The first
 * thread's end is not told before those of all others were heard, so all are listened to.
 */
static long wait_for_stop(int tid)
{
	int status = 0;
	long result;

	do {
		result = call(wait4, -1, &status, SYSTEM_WAIT_ALL, NULL);
		if (result < 0)
			return result;
		if ((status & 0xff) != 0x7f)
			return -ESRCH;
	} while (result != tid);
	return 0;
}

/* To the begin, then to the end of the call. */
static long run_call(int tid)
{
	for (int i = 0; i < 2; i++) {
		long result = call(ptrace, PTRACE_SYSCALL, tid, 0, 0);

		if (result == 0)
			result = wait_for_stop(tid);
		if (result < 0)
			return result;
	}
	return 0;
}

/* The call returns to where nothing is mapped any more; but the thread does not. */
static long unmap_arena(struct restorer *r, int pid)
{
	struct registers registers;
	long result = get_registers(pid, &registers);

	if (result < 0)
		return result;
	/* It rests in a system call, whose instruction lies before. */
	registers.rip -= SYSCALL_BYTES;
	registers.orig_rax = (uint64_t)-1;
	registers.rax = __NR_munmap;
	registers.rdi = r->arena.start;
	registers.rsi = r->arena.bytes;
	result = set_part(pid, NT_PRSTATUS, &registers, sizeof(registers));
	if (result == 0)
		result = run_call(pid);
	if (result == 0)
		result = get_registers(pid, &registers);
	return result < 0 ? result : (long)registers.rax;
}

/* This host's may be longer: of a processor with more, which was never used. */
static long set_extended_state(struct restorer *r, const struct image_thread *thread)
{
	uint64_t bytes = r->image->xstate_bytes;
	uint8_t state[XSTATE_BYTES_MAX];
	struct {
		void *at;
		size_t bytes;
	} part = { state, sizeof(state) };
	long result = call(ptrace, PTRACE_GETREGSET, thread->tid, NT_X86_XSTATE, &part);

	if (result < 0)
		return result;
	if (bytes > part.bytes)
		return -EOVERFLOW;
	memset(state, 0, part.bytes);
	memcpy(state, image_at(r->image, thread->xstate_at), bytes);
	return set_part(thread->tid, NT_X86_XSTATE, state, part.bytes);
}

static long set_thread(struct restorer *r, const struct image_thread *thread)
{
	long result = set_part(thread->tid, NT_PRSTATUS, thread->registers,
			       sizeof(thread->registers));

	if (result == 0)
		result = set_extended_state(r, thread);
	if (result == 0)
		result = call(ptrace, PTRACE_SETSIGMASK, thread->tid, SYSTEM_SIGNAL_SET_BYTES,
			      &thread->signal_mask);
	return result;
}

static long stop(struct restorer *r, const struct image_thread *thread)
{
	long result = call(ptrace, PTRACE_SEIZE, thread->tid, 0, PTRACE_O_EXITKILL);

	(void)r;
	if (result == 0)
		result = call(ptrace, PTRACE_INTERRUPT, thread->tid, 0, 0);
	return result < 0 ? result : wait_for_stop(thread->tid);
}

static long let_go(struct restorer *r, const struct image_thread *thread)
{
	(void)r;
	return call(ptrace, PTRACE_DETACH, thread->tid, 0, 0);
}

static int for_each_thread(struct restorer *r,
			   long (*what)(struct restorer *, const struct image_thread *))
{
	for (uint64_t i = 0; i < r->image->threads.count; i++) {
		long result = what(r, &image_threads(r->image)[i]);

		if (result < 0)
			return failed(r, RESTORE_STEP_REGISTERS, i, result);
	}
	return 0;
}

int set_registers(struct restorer *r)
{
	long result = for_each_thread(r, stop);

	if (result < 0)
		return (int)result;
	result = unmap_arena(r, image_threads(r->image)->tid);
	if (result < 0)
		return failed(r, RESTORE_STEP_REGISTERS, 0, result);
	result = for_each_thread(r, set_thread);
	return result < 0 ? (int)result : for_each_thread(r, let_go);
}
