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

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif

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

/* Private, of a file that is gone: three pages, the second changed, and a part of a fourth. */
static char *map_deleted(const char *beside, const char *page)
{
	char name[4096], *at;
	int fd;

	snprintf(name, sizeof(name), "%s.gone", beside);
	fd = open(name, O_RDWR | O_CREAT, 0600);
	if (fd < 0 || unlink(name))
		exit(1);
	for (int i = 0; i < 3; i++)
		if (write(fd, page, PAGE) != PAGE)
			exit(1);
	if (write(fd, "tail", 4) != 4)
		exit(1);
	at = map(PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
	at[PAGE] = 'x';
	close(fd);
	return at;
}

int main(int argc, char **argv)
{
	const int both = PROT_READ | PROT_WRITE;
	char *anonymous, *none, *shared, *file, *large, *zero, *hidden, *gone, *droppable;
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
	hidden = map(PAGES * PAGE, both, MAP_SHARED | MAP_ANONYMOUS, -1);
	fill(hidden + 7 * PAGE, 2);
	madvise(hidden, PAGES * PAGE, MADV_DONTNEED);
	gone = map_deleted(argv[1], page);
	droppable = mmap(NULL, PAGES * PAGE, both, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);
	if (droppable != MAP_FAILED)
		fill(droppable, PAGES);
	else
		droppable = NULL;
	printf("%p %p %p %p %p %p %p %p %p\n", (void *)anonymous, (void *)none, (void *)shared,
	       (void *)file, (void *)large, (void *)zero, (void *)hidden, (void *)gone,
	       (void *)droppable);
	fflush(stdout);
	for (;;)
		pause();
}
