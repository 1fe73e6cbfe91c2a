// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Preloaded: before its `kill_at`-th call of ptrace, the calling process kills itself.
 * What it looks for is the two variables, by their names.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

long kill_at;
long ptrace_calls;

long ptrace(enum __ptrace_request request, ...)
{
	const int is_peek = request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA;
	void *address, *data;
	long result, word;
	va_list list;
	pid_t pid;

	va_start(list, request);
	pid = va_arg(list, pid_t);
	address = va_arg(list, void *);
	data = va_arg(list, void *);
	va_end(list);
	if (++ptrace_calls == kill_at)
		kill(getpid(), SIGKILL);
	result = syscall(SYS_ptrace, request, pid, address, is_peek ? (void *)&word : data);
	if (is_peek && result == 0) {
		errno = 0;
		return word;
	}
	return result;
}
