// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Threads that wait in every way in which an interrupted call may or may not be made
 * again, and one that computes. What they see is in a file: usage: waiting FILE [patient]
 *
 * None may come back before `go` is set; then each gets what it waits for. `patient`: but
 * the two that a stop may end with EINTR by signal(7) begin again then.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { READ, EPOLL, FUTEX, FUTEX_TIMED, SLEEP, POLL, PPOLL, SELECT, SIGNAL, KINDS };

struct seen {
	uint64_t spins;
	uint64_t wrong_sums;
	int32_t go;
	int32_t waiting;
	struct {
		int32_t is_back;
		int32_t result;
		int32_t error;
	} calls[KINDS];
};

static volatile struct seen *seen;
static int is_patient;
static int pipes[KINDS][2];
static volatile int words[KINDS];

static const struct timespec hour = { 3600, 0 };

/*
 * A thread that is late with making its call again finds the word set already, and its wake
 * gone: that is no fault of whoever stopped it.
 */
static int wait_word(int kind, const struct timespec *timeout)
{
	const long result = syscall(SYS_futex, &words[kind], FUTEX_WAIT, 0, timeout, NULL, 0);

	return result == 0 || (errno == EAGAIN && words[kind]) ? 1 : -1;
}

static int wait_epoll(int fd)
{
	struct epoll_event event = { .events = EPOLLIN };
	int poll_fd = epoll_create1(EPOLL_CLOEXEC);

	epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event);
	return epoll_wait(poll_fd, &event, 1, -1);
}

static int wait_signal(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	return sigtimedwait(&set, NULL, &hour) == SIGUSR1 ? 1 : -1;
}

static int wait_as(int kind)
{
	const int fd = pipes[kind][0];
	struct pollfd polled = { fd, POLLIN, 0 };
	struct timespec second = { 3, 0 };
	fd_set set;
	char byte;

	switch (kind) {
	case READ:
		return (int)read(fd, &byte, 1);
	case EPOLL:
		return wait_epoll(fd);
	case FUTEX:
		return wait_word(kind, NULL);
	case FUTEX_TIMED:
		return wait_word(kind, &hour);
	case SLEEP:
		return nanosleep(&second, &second) == 0 ? 1 : -1;
	case POLL:
		return poll(&polled, 1, 3600000);
	case PPOLL:
		return ppoll(&polled, 1, &hour, NULL);
	case SELECT:
		FD_ZERO(&set);
		FD_SET(fd, &set);
		return select(fd + 1, &set, NULL, NULL, NULL);
	default:
		return wait_signal();
	}
}

static void *wait_thread(void *argument)
{
	const int kind = (int)(intptr_t)argument;
	int result;

	__atomic_fetch_add(&seen->waiting, 1, __ATOMIC_SEQ_CST);
	do
		result = wait_as(kind);
	while (is_patient && (kind == EPOLL || kind == SIGNAL) && result < 0 && errno == EINTR);
	seen->calls[kind].error = errno;
	seen->calls[kind].result = result;
	seen->calls[kind].is_back = 1;
	return NULL;
}

/* Vector registers hold the sums; a lost one is a wrong sum. */
static void *spin_thread(void *argument)
{
	for (;;) {
		double sums[8] = { 0, 1, 2, 3, 4, 5, 6, 7 };

		for (int i = 0; i < 100000; i++)
			for (int lane = 0; lane < 8; lane++)
				sums[lane] += 1;
		for (int lane = 0; lane < 8; lane++)
			if (sums[lane] != 100000 + lane)
				seen->wrong_sums++;
		seen->spins++;
	}
	return argument;
}

int main(int argc, char **argv)
{
	const struct timespec moment = { 0, 10000000 };
	pthread_t threads[KINDS + 1];
	sigset_t set;
	int fd;

	if (argc < 2)
		return 2;
	is_patient = argc > 2;
	fd = open(argv[1], O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*seen)))
		return 1;
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	pthread_create(&threads[KINDS], NULL, spin_thread, NULL);
	for (int kind = 0; kind < KINDS; kind++) {
		if (pipe(pipes[kind]))
			return 1;
		pthread_create(&threads[kind], NULL, wait_thread, (void *)(intptr_t)kind);
	}
	while (!seen->go)
		nanosleep(&moment, NULL);
	for (int kind = 0; kind < KINDS; kind++) {
		if (write(pipes[kind][1], "x", 1) != 1)
			return 1;
		words[kind] = 1;
		syscall(SYS_futex, &words[kind], FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	}
	kill(getpid(), SIGUSR1);
	for (int kind = 0; kind < KINDS; kind++)
		pthread_join(threads[kind], NULL);
	return 0;
}
