// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A thread that is always in a restartable sequence, and never gets to its end: each abort
 * is counted, and it begins again. usage: sequence FILE; prints where the abort leads to
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <unistd.h>

struct seen {
	uint64_t aborts;
	uint64_t rounds;
};

static struct rseq *own_area(void)
{
	return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

int main(int argc, char **argv)
{
	volatile struct seen *seen;
	uint64_t abort_at;
	int fd;

	if (argc != 2 || __rseq_size == 0)
		return 2;
	fd = open(argv[1], O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*seen)))
		return 1;
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	__asm__ volatile("leaq 9f(%%rip), %0" : "=r"(abort_at));
	printf("%#lx\n", abort_at);
	fflush(stdout);
	__asm__ volatile(
		".pushsection __rseq_cs, \"aw\"\n\t"
		".balign 32\n"
		"3:\n\t"
		".long 0, 0\n\t"
		".quad 1f, 2f - 1f, 9f\n\t"
		".popsection\n"
		"4:\n\t"
		"leaq 3b(%%rip), %%rax\n\t"
		"movq %%rax, %[section]\n"
		"1:\n\t"
		"incq %[rounds]\n\t"
		"jmp 1b\n"
		"2:\n\t"
		".byte 0x0f, 0xb9, 0x3d\n\t"
		".long 0x53053053\n"
		"9:\n\t"
		"incq %[aborts]\n\t"
		"jmp 4b\n"
		: [section] "=m"(own_area()->rseq_cs), [rounds] "+m"(seen->rounds),
		  [aborts] "+m"(seen->aborts)
		:
		: "rax", "memory");
	return 0;
}
