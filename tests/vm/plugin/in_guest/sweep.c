// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A known access pattern: reads or writes lines of a buffer in page order.
 *
 *	sweep PAGES LINES HOT_PAGES PASSES r|w|s FILE
 *
 * Each pass touches LINES lines of every page, evenly spread, and all 64 of the
 * first HOT_PAGES pages; with `s` each page is filled by `rep stosq` instead. After filling the buffer it writes its page frame
 * numbers to FILE, one a line, and waits for SIGUSR1 before the passes. Run it
 * under numactl --membind to choose the tier.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, LINE = 64, LINES_A_PAGE = 64 };

static int write_frames(const char *buffer, size_t pages, const char *path)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	FILE *out = fopen(path, "w");
	size_t i;

	if (pagemap < 0 || !out)
		return -1;
	for (i = 0; i < pages; i++) {
		const uint64_t page = (uintptr_t)buffer / PAGE + i;
		uint64_t entry;

		if (pread(pagemap, &entry, 8, (off_t)(page * 8)) != 8)
			return -1;
		fprintf(out, "%llu\n", (unsigned long long)(entry & ((1ULL << 55) - 1)));
	}
	close(pagemap);
	return fclose(out);
}

static void touch(char *page, int lines, int is_write)
{
	int i;

	for (i = 0; i < lines; i++) {
		volatile uint64_t *word =
			(volatile uint64_t *)(page + i * (LINES_A_PAGE / lines) * LINE);

		if (is_write)
			*word = 1;
		else
			(void)*word;
	}
}

static void fill_by_string(char *page)
{
	uint64_t words = PAGE / 8;

	__asm__ volatile("rep stosq" : "+D"(page), "+c"(words) : "a"(1) : "memory");
}

int main(int argc, char **argv)
{
	size_t pages, hot, i;
	int lines, passes, number;
	sigset_t go;
	char *buffer, way;

	if (argc != 7)
		return 2;
	pages = strtoul(argv[1], NULL, 10);
	lines = atoi(argv[2]);
	hot = strtoul(argv[3], NULL, 10);
	passes = atoi(argv[4]);
	way = argv[5][0];
	sigemptyset(&go);
	sigaddset(&go, SIGUSR1);
	sigprocmask(SIG_BLOCK, &go, NULL);
	buffer = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (buffer == MAP_FAILED || madvise(buffer, pages * PAGE, MADV_NOHUGEPAGE))
		return 1;
	memset(buffer, 1, pages * PAGE);
	if (write_frames(buffer, pages, argv[6]))
		return 1;
	sigwait(&go, &number);
	while (passes--)
		for (i = 0; i < pages; i++)
			if (way == 's')
				fill_by_string(buffer + i * PAGE);
			else
				touch(buffer + i * PAGE, i < hot ? LINES_A_PAGE : lines,
				      way == 'w');
	return 0;
}
