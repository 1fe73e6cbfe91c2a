// SPDX-License-Identifier: GPL-2.0-or-later
/* Counts signals of a kind that is queued. usage: counting FILE */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile uint64_t *seen;

static void count(int number)
{
	(void)number;
	(*seen)++;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = count };
	int fd;

	if (argc != 2)
		return 2;
	fd = open(argv[1], O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*seen)))
		return 1;
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	sigaction(SIGRTMIN, &action, NULL);
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
