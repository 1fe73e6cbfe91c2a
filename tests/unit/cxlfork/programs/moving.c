// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory that is given back, moved, unmapped and forked when its first touch may still be
 * to come. usage: moving FILE [part]; waits until FILE is there, says what is wrong, if
 * anything. part: only whether a part of a mapping has zeros where it grows.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 600 };

static int wrong;

static char value(int page)
{
	return (char)(page % 251 + 1);
}

/* Between two pages that nobody may touch: a mapping of its own. */
static char *make(void)
{
	char *at = mmap(NULL, (PAGES + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	at += PAGE;
	mprotect(at, PAGES * PAGE, PROT_READ | PROT_WRITE);
	for (int i = 0; i < PAGES; i++)
		memset(at + i * PAGE, value(i), PAGE);
	return at;
}

/* Pages from `first` on are those of a make() from `was` on, or zeros (was < 0). */
static void check(const char *what, const char *at, int first, int pages, int was)
{
	for (int i = 0; i < pages; i++) {
		char wanted = was < 0 ? 0 : value(was + i);

		for (int k = 0; k < PAGE; k += 1024)
			if (at[(first + i) * PAGE + k] != wanted) {
				printf("%s: page %d is wrong\n", what, first + i);
				wrong = 1;
				return;
			}
	}
}

static void check_given_back(char *at)
{
	madvise(at + 100 * PAGE, 50 * PAGE, MADV_DONTNEED);
	check("before", at, 0, 100, 0);
	check("given back", at, 100, 50, -1);
	check("after", at, 150, PAGES - 150, 150);
}

static void check_moved(char *at)
{
	char *there = mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *to = mremap(at + 200 * PAGE, 200 * PAGE, 200 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			  there);

	check("moved", to, 0, 200, 200);
	check("left", at, 0, 200, 0);
	/* Onto pages that were not touched yet. */
	to = mremap(at, 100 * PAGE, 100 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + 450 * PAGE);
	check("moved onto others", to, 0, 100, 0);
	check("beside", at, 400, 50, 400);
	check("beside too", at, 550, 50, 550);
}

/* The first `pages` of it grow, elsewhere. */
static void check_grown(char *at, int pages)
{
	char *to = mmap(NULL, 2 * PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mremap(at, pages * PAGE, 2 * PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	check("moved to grow", to, 0, pages, 0);
	check("grown", to, pages, 2 * PAGES - pages, -1);
}

static void check_unmapped(char *at)
{
	munmap(at + 10 * PAGE, 20 * PAGE);
	mmap(at + 10 * PAGE, 20 * PAGE, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	check("mapped anew", at, 10, 20, -1);
	check("around", at, 30, 100, 30);
}

static void check_forked(char *at)
{
	int status;

	if (fork() == 0) {
		check("in a child", at, 0, 300, 0);
		madvise(at + 300 * PAGE, 10 * PAGE, MADV_DONTNEED);
		check("given back in a child", at, 300, 10, -1);
		if (fork() == 0) {
			check("in a child's child", at, 310, 200, 310);
			fflush(stdout);
			_exit(wrong);
		}
		wait(&status);
		fflush(stdout);
		_exit(wrong || status);
	}
	wait(&status);
	wrong |= status != 0;
	check("in a parent", at, 0, PAGES, 0);
}

int main(int argc, char **argv)
{
	char *memories[6];

	if (argc < 2)
		return 2;
	for (int i = 0; i < 6; i++)
		memories[i] = make();
	mprotect(memories[4], PAGES * PAGE, PROT_NONE);
	puts("ready");
	fflush(stdout);
	while (access(argv[1], F_OK))
		usleep(2000);
	if (argc > 2) {
		check_grown(memories[0], PAGES / 2);
		puts(wrong ? "something is wrong" : "all is right");
		return wrong;
	}
	check_given_back(memories[0]);
	check_moved(memories[1]);
	check_unmapped(memories[2]);
	check_forked(memories[3]);
	mprotect(memories[4], PAGES * PAGE, PROT_READ);
	check_grown(memories[5], PAGES);
	check("protected", memories[4], 0, PAGES, 0);
	puts(wrong ? "something is wrong" : "all is right");
	return wrong;
}
