// SPDX-License-Identifier: GPL-2.0-or-later
/* Waits for ever, with numbers in its vector registers. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/syscall.h>

int main(void)
{
	double low[2] = { 1.5, 2.5 }, high[2] = { 3.5, 4.5 };
	long result;

	puts("ready");
	fflush(stdout);
	__asm__ volatile("movupd %1, %%xmm9\n"
			 "movupd %2, %%xmm14\n"
			 "syscall\n"
			 : "=a"(result)
			 : "m"(low), "m"(high), "0"((long)SYS_pause)
			 : "xmm9", "xmm14", "rcx", "r11", "memory");
	return (int)result;
}
