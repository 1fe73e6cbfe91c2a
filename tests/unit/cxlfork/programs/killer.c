// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Kills a restorer, or the process that it makes, before the n-th system call of either.
 *
 * usage: killer RESTORER COUNTED VICTIM N: whose calls, and who is killed, by their first
 * letters, r or p. Says "ready" when it is attached, and in the end what became of it.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { SYSCALL_STOP = SIGTRAP | 0x80 };

static pid_t restorer, process;
static char counted, victim;
static long kill_at, calls;

static int is_counted(pid_t pid)
{
	return pid == (counted == 'r' ? restorer : process);
}

static void end(const char *how)
{
	kill(victim == 'r' ? restorer : process, SIGKILL);
	printf("%s %ld\n", how, calls);
	fflush(stdout);
}

static void count_call(pid_t pid)
{
	struct __ptrace_syscall_info call = { 0 };

	ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(call), &call);
	if (call.op != PTRACE_SYSCALL_INFO_ENTRY || (victim == 'p' && !process))
		return;
	if (++calls == kill_at)
		end("killed");
	else if (counted == 'p' && call.entry.nr == SYS_pause)
		/* It is made; the restorer could not take it over from us. */
		end("rests");
}

static void follow_new(pid_t parent)
{
	unsigned long pid = 0;

	ptrace(PTRACE_GETEVENTMSG, parent, 0, &pid);
	process = (pid_t)pid;
	waitpid(process, NULL, __WALL);
	if (counted == 'p')
		ptrace(PTRACE_SYSCALL, process, 0, 0);
	else
		ptrace(PTRACE_DETACH, process, 0, 0);
}

static void go_on(pid_t pid, int status)
{
	int number = WSTOPSIG(status), event = status >> 16;

	if (event == PTRACE_EVENT_FORK) {
		follow_new(pid);
		number = 0;
	} else if (number == SYSCALL_STOP) {
		if (is_counted(pid))
			count_call(pid);
		number = 0;
	} else if (event) {
		number = 0;
	}
	ptrace(is_counted(pid) || !process ? PTRACE_SYSCALL : PTRACE_CONT, pid, 0, number);
}

int main(int argc, char **argv)
{
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_EXITKILL;
	int status;
	pid_t pid;

	if (argc != 5)
		return 2;
	restorer = atoi(argv[1]);
	counted = argv[2][0];
	victim = argv[3][0];
	kill_at = atol(argv[4]);
	if (ptrace(PTRACE_SEIZE, restorer, 0, options) < 0 ||
	    ptrace(PTRACE_INTERRUPT, restorer, 0, 0) < 0)
		return 1;
	printf("ready\n");
	fflush(stdout);
	while ((pid = waitpid(-1, &status, __WALL)) > 0)
		if (WIFSTOPPED(status))
			go_on(pid, status);
	return 0;
}
