// SPDX-License-Identifier: GPL-2.0-or-later
#include "registers.h"

#include <linux/elf.h>
#include <linux/errno.h>
#include <linux/ptrace.h>

#include "arena.h"
#include "restorer.h"

enum {
	SYSCALL_BYTES = 2,	/* of the instruction */
	SIGNAL_OF_STOPS = 5,	/* SIGTRAP */
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

/* Until the thread stops; -ESRCH if it ends instead. */
static long wait_for_stop(int tid)
{
	int status = 0;
	long result = call(wait4, tid, &status, SYSTEM_WAIT_ALL, NULL);

	if (result < 0)
		return result;
	return (status & 0xff) == 0x7f ? 0 : -ESRCH;
}

static long stop(int tid)
{
	long result = call(ptrace, PTRACE_SEIZE, tid, 0, PTRACE_O_EXITKILL);

	if (result == 0)
		result = call(ptrace, PTRACE_INTERRUPT, tid, 0, 0);
	return result < 0 ? result : wait_for_stop(tid);
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

static long set_thread(struct restorer *r, const struct image_thread *thread)
{
	int tid = thread->tid;
	long result = set_part(tid, NT_PRSTATUS, thread->registers, sizeof(thread->registers));

	if (result == 0)
		result = set_part(tid, NT_X86_XSTATE, image_at(r->image, thread->xstate_at),
				  r->image->xstate_bytes);
	if (result == 0)
		result = call(ptrace, PTRACE_SETSIGMASK, tid, SYSTEM_SIGNAL_SET_BYTES,
			      &thread->signal_mask);
	return result;
}

int set_registers(struct restorer *r)
{
	const struct image_thread *threads = image_threads(r->image);
	uint64_t count = r->image->threads.count, i;
	long result = 0;

	for (i = 0; i < count && result == 0; i++)
		result = stop(threads[i].tid);
	if (result == 0) {
		i = 1;
		result = unmap_arena(r, threads[0].tid);
	}
	for (i = 0; i < count && result == 0; i++)
		result = set_thread(r, &threads[i]);
	for (i = 0; i < count && result == 0; i++)
		result = call(ptrace, PTRACE_DETACH, threads[i].tid, 0, 0);
	return result < 0 ? failed(r, RESTORE_STEP_REGISTERS, i - 1, result) : 0;
}
