// SPDX-License-Identifier: GPL-2.0-or-later
#define _GNU_SOURCE
#include "fork_spawn.h"

#include <errno.h>
#include <sched.h>
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

static int begin(void *argument)
{
	struct start *start = argument;
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

int fork_spawn(const char *program, int control)
{
	const int flags = CLONE_VM | CLONE_VFORK | CLONE_NEWPID | CLONE_NEWNS | SIGCHLD;
	struct start start = { program, control, 0 };
	char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	sigset_t all, before;
	int pid, error;

	if (stack == MAP_FAILED)
		return -errno;
	/* No handler may run in memory that is shared. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	pid = clone(begin, stack + STACK_BYTES, flags, &start);
	error = pid < 0 ? errno : start.error;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	munmap(stack, STACK_BYTES);
	if (!error)
		return pid;
	if (pid >= 0)
		syscall(SYS_wait4, pid, NULL, 0, NULL);
	return -error;
}
