/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_CPU_H
#define HOST_CPU_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#endif

/* XCR0: the parts of the processor's state that this kernel keeps for programs. */
uint64_t host_cpu_xfeatures(void);

#endif
