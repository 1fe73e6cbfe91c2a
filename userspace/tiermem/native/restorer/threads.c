// SPDX-License-Identifier: GPL-2.0-or-later
#include "threads.h"

#include <linux/errno.h>
#include <linux/futex.h>
#include <linux/prctl.h>
#include <linux/sched.h>

#include "arena.h"
#include "attributes.h"
#include "credentials.h"
#include "restorer.h"
#include "signals.h"

enum {
	THREAD_STACK_BYTES = 256 << 10,
	ALTERNATE_STACK_IS_OFF = 2,	/* SS_DISABLE */
};

_Noreturn void park(uint32_t *done)
{
	/* The next thread gets this stack as soon as the store is seen. */
	__asm__ volatile("movl $1, (%%rdi)\n"
			 "syscall\n"
			 "1:	mov %[pause], %%eax\n"
			 "	syscall\n"
			 "	jmp 1b\n"
			 :
			 : "a"(__NR_futex), "D"(done), "S"(FUTEX_WAKE | FUTEX_PRIVATE_FLAG),
			   "d"(1), [pause] "i"(__NR_pause)
			 : "memory", "rcx", "r11");
	__builtin_unreachable();
}

static long set_schedule(const struct image_thread *thread)
{
	int32_t priority = (int32_t)thread->priority;
	long result = 0;

	if (thread->policy)
		result = call(sched_setscheduler, 0, thread->policy, &priority);
	if (result == 0)
		result = call(setpriority, 0, 0, thread->nice);
	return result;
}

static long set_alternate_stack(const struct image_thread *thread)
{
	struct {
		uint64_t pointer;
		uint32_t flags;
		uint32_t unused;
		uint64_t bytes;
	} stack = { thread->stack_pointer, thread->stack_flags, 0, thread->stack_bytes };

	if (thread->stack_flags & ALTERNATE_STACK_IS_OFF)
		return 0;
	return call(sigaltstack, &stack, NULL);
}

/* By the thread itself. */
static int set_thread_state(struct restorer *r, uint32_t index)
{
	const struct image_thread *thread = &image_threads(r->image)[index];
	long result = call(prctl, PR_SET_NAME, thread->comm, 0, 0, 0);

	call(set_tid_address, thread->clear_child_tid);
	if (result == 0)
		result = set_alternate_stack(thread);
	if (result == 0 && thread->robust_list)
		result = call(set_robust_list, thread->robust_list, thread->robust_bytes);
	if (result == 0)
		result = set_schedule(thread);
	if (result == 0 && thread->rseq)
		result = call(rseq, thread->rseq, thread->rseq_bytes, 0, thread->rseq_signature);
	if (result < 0)
		return failed(r, RESTORE_STEP_THREAD_STATE, index, result);
	result = queue_signals(r, thread->tid, thread->first_pending, thread->pending);
	return result < 0 ? (int)result : give_up_rights(r);
}

__attribute__((used)) _Noreturn static void run_thread(struct restorer *r)
{
	r->thread_result = set_thread_state(r, r->thread_index);
	park(&r->thread_done);
}

static long begin_thread(struct restorer *r, uint32_t index)
{
	int tid = image_threads(r->image)[index].tid;
	struct clone_args arguments = {
		.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
			 CLONE_SYSVSEM,
		.stack = r->arena.start + ARENA_THREAD_STACK_END - THREAD_STACK_BYTES,
		.stack_size = THREAD_STACK_BYTES,
		.set_tid = (uintptr_t)&tid,
		.set_tid_size = 1,
	};
	long result;

	r->thread_index = index;
	r->thread_done = 0;
	__asm__ volatile("syscall\n"
			 "test %%rax, %%rax\n"
			 "jnz 1f\n"
			 "xor %%ebp, %%ebp\n"
			 "mov %%rbx, %%rdi\n"
			 "call run_thread\n"
			 "1:\n"
			 : "=a"(result)
			 : "0"((long)__NR_clone3), "D"(&arguments), "S"(sizeof(arguments)), "b"(r)
			 : "rcx", "r11", "memory");
	return result;
}

int make_threads(struct restorer *r)
{
	for (uint32_t i = 1; i < r->image->threads.count; i++) {
		long result = begin_thread(r, i);

		if (result < 0)
			return failed(r, RESTORE_STEP_THREAD, i, result);
		while (!__atomic_load_n(&r->thread_done, __ATOMIC_ACQUIRE))
			call(futex, &r->thread_done, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, NULL);
		if (r->thread_result < 0)
			return r->thread_result;
	}
	return 0;
}

int finish_leader(struct restorer *r)
{
	const struct image_header *image = r->image;
	int result = queue_signals(r, 0, 0, image->pending);

	if (result == 0)
		result = set_thread_state(r, 0);
	return result < 0 ? result : set_dumpable(r);
}
