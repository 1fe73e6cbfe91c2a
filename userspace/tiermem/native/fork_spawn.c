// SPDX-License-Identifier: GPL-2.0-or-later
#define _GNU_SOURCE
#include "fork_spawn.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "restore_protocol.h"

enum { STACK_BYTES = 65536 };

struct start {
	const char *program;
	int control;
	volatile int error;	/* the caller's memory is shared until the program begins */
};

_Noreturn static void begin(struct start *start)
{
	char *arguments[] = { (char *)"tiermem-restorer", NULL };
	char *environment[] = { NULL };

	if (start->control == RESTORE_CONTROL_FD) {
		/* Onto itself it would stay close-on-exec. */
		start->control = dup(start->control);
	}
	if (start->control < 0 || dup2(start->control, RESTORE_CONTROL_FD) < 0 ||
	    syscall(SYS_close_range, 0U, RESTORE_CONTROL_FD - 1U, 0U) < 0 ||
	    syscall(SYS_close_range, RESTORE_CONTROL_FD + 1U, ~0U, 0U) < 0) {
		start->error = errno;
		_exit(1);
	}
	execve(start->program, arguments, environment);
	start->error = errno;
	_exit(1);
}

/*
 * clone() of the C library cannot name a cgroup, and it has no clone3(). The child has a
 * stack of its own, on which there is nothing to return to; so `start` may be in any
 * register but the stack pointer, which a mere "r" allows.
 */
static long clone_to_begin(struct clone_args *arguments, struct start *start)
{
	long result;

	__asm__ volatile("	syscall\n"
			 "	test %%eax, %%eax\n"
			 "	jnz 1f\n"
			 "	mov %%rdx, %%rdi\n"
			 "	call *%[begin]\n"
			 "1:\n"
			 : "=a"(result)
			 : "a"(SYS_clone3), "D"(arguments), "S"(sizeof(*arguments)),
			   "d"(start), [begin] "r"(begin)
			 : "rcx", "r11", "memory");
	return result;
}

int fork_spawn(const char *program, int control, int cgroup)
{
	struct start start = { program, control, 0 };
	void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	struct clone_args arguments = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_NEWPID | CLONE_NEWNS,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)stack,
		.stack_size = STACK_BYTES,
	};
	sigset_t all, before;
	long pid;
	int error;

	if (stack == MAP_FAILED)
		return -errno;
	if (cgroup >= 0) {
		arguments.flags |= CLONE_INTO_CGROUP;
		arguments.cgroup = (uint64_t)cgroup;
	}
	/* No handler may run in memory that is shared. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	pid = clone_to_begin(&arguments, &start);
	error = pid < 0 ? (int)-pid : start.error;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	munmap(stack, STACK_BYTES);
	if (!error)
		return (int)pid;
	if (pid >= 0)
		syscall(SYS_wait4, pid, NULL, 0, NULL);
	return -error;
}
