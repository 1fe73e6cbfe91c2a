/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads of another process, stopped and looked into by ptrace.
 *
 * All calls for one process come from the thread that seized its first thread. Calls
 * return 0, or an errno as a negative number. A tracer that dies lets go, and the
 * threads go on; one that makes a call needs a net for that (trace_net.h).
 */
#ifndef FORK_TRACE_H
#define FORK_TRACE_H

#ifndef TIERMEM_CDEF
#include <stddef.h>
#include <stdint.h>
#endif

enum trace_limits {
	TRACE_REGISTERS = 27,		/* struct user_regs_struct of x86-64 */
	TRACE_SIGINFO_BYTES = 128,
	TRACE_XSTATE_BYTES_MAX = 16384,
	TRACE_ARGUMENTS = 6,
};

struct trace_rseq {
	uint64_t address;	/* 0: none */
	uint32_t bytes;
	uint32_t signature;
};

/* A thread that makes calls: what it was before, and where it makes them. */
struct trace_calls {
	int32_t tid;
	int32_t is_moved;	/* its registers are not its own at the moment */
	uint64_t instruction;	/* of a `syscall` that is there already: no code is changed */
	uint64_t stack;		/* its stack pointer meanwhile: its net */
	uint64_t mask;
	uint64_t before[27];
};

/*
 * Stops a thread wherever it is; -ETIMEDOUT where that takes longer, -ESRCH where it has
 * ended. Afterwards it must be detached in any case but -ESRCH. A thread in a restartable
 * sequence is sent to its abort address, and a call that the stop has cut short goes on
 * when the thread does, also one that the kernel itself would let fail with EINTR.
 */
int trace_seize(int tid, uint64_t limit_ns);

/* Lets it go on as if nothing had been. */
int trace_detach(int tid);

int trace_get_registers(int tid, uint64_t *registers);

/* The same as they must be set to go on: a call that was cut short is made once more. */
void trace_ready_registers(uint64_t *registers);

/* NT_X86_XSTATE; bytes is the room in `into` before, what it takes after. */
int trace_get_xstate(int tid, uint8_t *into, size_t *bytes);

int trace_get_signal_mask(int tid, uint64_t *mask);

/* siginfo_t of signals that wait, for the thread or (shared) for its process, from number
 * `first` on; how many. */
int trace_peek_signals(int tid, uint64_t first, int shared, uint8_t *into, int limit);

int trace_get_rseq(int tid, struct trace_rseq *into);

/* Of any thread, also one that is not stopped. */
int trace_get_robust_list(int tid, uint64_t *address, uint64_t *bytes);

/* From now on the stopped thread makes calls. Signals wait meanwhile. */
int trace_calls_begin(struct trace_calls *calls, int tid, uint64_t instruction, uint64_t stack);

/* One system call; its result is what the kernel gave, -errno included. */
int trace_call(struct trace_calls *calls, int64_t number, const uint64_t *arguments,
	       int64_t *result);

/* Registers and signal mask are as before, also in a call that was cut short. */
int trace_calls_end(struct trace_calls *calls);

#endif
