// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Timers of all kinds that go off some time after it is ready, and a handler on a stack
 * of its own. Prints which have, and whether all is as it was set up. usage: timers [late];
 * late: they have gone off when it is ready, and their signals wait.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum { STACK_BYTES = 65536, TIMERS = 3 };

static char stack[STACK_BYTES];
static volatile int is_on_stack;

static void handle(int number)
{
	char here = (char)number;

	is_on_stack = (uintptr_t)&here - (uintptr_t)stack < STACK_BYTES;
}

/* By the call itself: the C library's ids are pointers. */
static int make_timer(int notify, int number, int value)
{
	struct sigevent event = { .sigev_notify = notify, .sigev_signo = number };
	int id = -1;

	event.sigev_value.sival_int = value;
	event.sigev_notify_thread_id = (int)syscall(SYS_gettid);
	if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id))
		exit(1);
	return id;
}

static void wait_for(int number)
{
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, number);
	if (sigwaitinfo(&set, &info) < 0)
		exit(1);
	printf("signal %d code %d value %d\n", number, info.si_code,
	       info.si_code == SI_TIMER ? info.si_value.sival_int : 0);
}

int main(int argc, char **argv)
{
	const struct itimerval often = { { 0, 50000 }, { 0, 300000 } };
	const struct timespec late = { 0, 400000000 };
	struct itimerspec once = { { 0, 0 }, { 0, 300000000 } }, left;
	stack_t own = { .ss_sp = stack, .ss_size = STACK_BYTES };
	struct sigaction action = { .sa_handler = handle, .sa_flags = SA_ONSTACK };
	int ids[TIMERS];
	sigset_t set;

	sigfillset(&set);
	sigdelset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigaltstack(&own, NULL);
	sigaction(SIGUSR1, &action, NULL);
	ids[0] = make_timer(SIGEV_SIGNAL, SIGRTMIN, 11);
	ids[1] = make_timer(SIGEV_SIGNAL, SIGRTMIN + 1, 22);
	ids[2] = make_timer(SIGEV_THREAD_ID, SIGRTMIN + 2, 33);
	syscall(SYS_timer_delete, ids[0]);
	syscall(SYS_timer_settime, ids[1], 0, &once, NULL);
	syscall(SYS_timer_settime, ids[2], 0, &once, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	if (argc > 1 && !strcmp(argv[1], "late"))
		nanosleep(&late, NULL);
	puts("ready");
	fflush(stdout);
	wait_for(SIGRTMIN + 1);
	wait_for(SIGRTMIN + 2);
	wait_for(SIGALRM);
	wait_for(SIGALRM);
	raise(SIGUSR1);
	printf("on its own stack: %d\n", is_on_stack);
	for (int i = 0; i < TIMERS; i++)
		printf("timer %d: %ld\n", i, syscall(SYS_timer_gettime, ids[i], &left));
	return 0;
}
