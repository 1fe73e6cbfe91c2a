/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a thread falls into when its tracer dies while it makes a call in its name.
 *
 * The thread goes on behind the `syscall` instruction then. Where that is followed by a
 * `ret`, and its stack pointer is at a net, it returns into the return from a signal
 * handler, which sets registers, FPU state and signal mask as they were.
 */
#ifndef TRACE_NET_H
#define TRACE_NET_H

#ifndef TIERMEM_CDEF
#include <stddef.h>
#include <stdint.h>
#endif

enum trace_net_limits {
	TRACE_NET_BYTES_MAX = 20480,
	TRACE_NET_ALIGN = 64,
};

struct trace_net {
	uint64_t at;		/* where it will lie, a multiple of TRACE_NET_ALIGN */
	uint64_t restorer;	/* code that makes the call rt_sigreturn */
	uint64_t mask;		/* signals */
	uint64_t registers[27];	/* struct user_regs_struct, ready to be set */
};

/* Its bytes, at most TRACE_NET_BYTES_MAX; how many. `xstate` is NT_X86_XSTATE's. */
size_t trace_net_fill(const struct trace_net *net, const uint8_t *xstate, size_t xstate_bytes,
		      uint8_t *into);

#endif
