// SPDX-License-Identifier: GPL-2.0-or-later
#include "line_instructions.h"

#include <cpuid.h>

enum line_instruction line_write_back_by, line_invalidate_by;

__attribute__((constructor)) static void choose(void)
{
	unsigned int a, b, c, d;

	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
		return;
	line_invalidate_by = b & bit_CLFLUSHOPT ? LINE_CLFLUSHOPT : LINE_CLFLUSH;
	line_write_back_by = b & bit_CLWB ? LINE_CLWB : line_invalidate_by;
}
