// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory of every kind with contents of its own, and then nothing but waiting.
 * usage: memory FILE; prints the pid when it is ready
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 16, LARGE = 2 << 20 };

static char *map(size_t bytes, int protection, int flags, int fd)
{
	char *at = mmap(NULL, bytes, protection, flags, fd, 0);

	if (at == MAP_FAILED)
		exit(1);
	return at;
}

static void fill(char *at, size_t pages)
{
	for (size_t i = 0; i < pages; i++)
		memset(at + i * PAGE, (int)(i % 255) + 1, PAGE);
}

int main(int argc, char **argv)
{
	const int both = PROT_READ | PROT_WRITE;
	char *anonymous, *none, *shared, *file, *large, *zero;
	char page[PAGE];
	int fd;

	if (argc != 2)
		return 2;
	memset(page, 'f', PAGE);
	fd = open(argv[1], O_RDWR | O_CREAT, 0600);
	if (fd < 0)
		return 1;
	for (int i = 0; i < PAGES; i++)
		if (write(fd, page, PAGE) != PAGE)
			return 1;
	anonymous = map(PAGES * PAGE, both, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	fill(anonymous, PAGES / 2);
	none = map(PAGES * PAGE, both, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	fill(none, PAGES);
	mprotect(none, PAGES * PAGE, PROT_NONE);
	shared = map(PAGES * PAGE, both, MAP_SHARED | MAP_ANONYMOUS, -1);
	fill(shared + PAGE, 3);
	file = map(PAGES * PAGE, both, MAP_PRIVATE, fd);
	file[5 * PAGE] = 'x';
	memset(file + 6 * PAGE, 0, PAGE);
	large = map(4 * LARGE, both, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	fill(large, 4 * LARGE / PAGE);
	madvise(large, 4 * LARGE, MADV_NOHUGEPAGE);
	zero = map(PAGES * PAGE, both, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	memset(zero, 0, PAGES * PAGE);
	madvise(zero, PAGE, MADV_DONTFORK);
	printf("%p %p %p %p %p %p\n", (void *)anonymous, (void *)none, (void *)shared, (void *)file,
	       (void *)large, (void *)zero);
	fflush(stdout);
	for (;;)
		pause();
}
