/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing one cache line back, or dropping it, by the best instruction that this
 * processor has; inline, for loops that do little else.
 */
#ifndef LINE_INSTRUCTIONS_H
#define LINE_INSTRUCTIONS_H

enum line_instruction { LINE_CLFLUSH, LINE_CLFLUSHOPT, LINE_CLWB };

/* Chosen before main; the slowest of them, which all processors have, until then. */
extern enum line_instruction line_write_back_by, line_invalidate_by;

static inline void line_do(enum line_instruction by, void *at)
{
	/* By name, so that no file has to be compiled for such processors only. */
	if (by == LINE_CLWB)
		__asm__ volatile("clwb %0" : "+m"(*(volatile char *)at));
	else if (by == LINE_CLFLUSHOPT)
		__asm__ volatile("clflushopt %0" : "+m"(*(volatile char *)at));
	else
		__asm__ volatile("clflush %0" : "+m"(*(volatile char *)at));
}

static inline void line_write_back(void *at)
{
	line_do(line_write_back_by, at);
}

static inline void line_invalidate(void *at)
{
	line_do(line_invalidate_by, at);
}

#endif
