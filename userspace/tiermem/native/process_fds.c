// SPDX-License-Identifier: GPL-2.0-or-later
#define _GNU_SOURCE

#include "process_fds.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

enum { KCMP_FILE_OF_PROCESS = 0 };

int process_fd_take(int pid, int fd)
{
	int process, taken, err;

	process = (int)syscall(SYS_pidfd_open, pid, 0);
	if (process < 0)
		return -errno;
	taken = (int)syscall(SYS_pidfd_getfd, process, fd, 0);
	err = errno;
	close(process);
	return taken < 0 ? -err : taken;
}

int process_fds_are_same(int pid, int one, int other)
{
	long order = syscall(SYS_kcmp, pid, pid, KCMP_FILE_OF_PROCESS, one, other);

	return order < 0 ? -errno : order == 0;
}

long process_fd_peek_pipe(int read_end, uint8_t *into, size_t limit)
{
	size_t got = 0;
	int own[2], err = 0;
	ssize_t part;

	if (pipe2(own, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	fcntl(own[1], F_SETPIPE_SZ, (int)limit);
	part = tee(read_end, own[1], limit, SPLICE_F_NONBLOCK);
	if (part < 0 && errno != EAGAIN)
		err = -errno;
	while (!err && part > 0 && got < (size_t)part) {
		ssize_t more = read(own[0], into + got, (size_t)part - got);

		if (more <= 0)
			break;
		got += (size_t)more;
	}
	close(own[0]);
	close(own[1]);
	return err ? err : (long)got;
}

long process_fd_address(int fd, uint8_t *into, size_t limit)
{
	socklen_t size = (socklen_t)limit;

	if (getsockname(fd, (struct sockaddr *)into, &size))
		return -errno;
	return (long)size;
}

int process_fd_ask_timer(int timer)
{
	struct itimerspec left;

	return timerfd_gettime(timer, &left) ? -errno : 0;
}
