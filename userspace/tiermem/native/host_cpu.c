// SPDX-License-Identifier: GPL-2.0-or-later
#include "host_cpu.h"

#include <cpuid.h>

uint64_t host_cpu_xfeatures(void)
{
	unsigned int a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
		return 0;
	__asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	return (uint64_t)d << 32 | a;
}
