// SPDX-License-Identifier: GPL-2.0-or-later
#define _GNU_SOURCE

#include "trace_net.h"

#include <cpuid.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/user.h>
#include <ucontext.h>

/* arch/x86/include/uapi/asm/sigcontext.h, which does not go with <signal.h> */
enum {
	XSTATE_MAGIC_1 = 0x46505853,
	XSTATE_MAGIC_2 = 0x46505845,
	XSTATE_SOFTWARE_AT = 464,	/* struct xstate_software in the legacy area */
	XSTATE_HEADER_AT = 512,		/* begins with the features that are in use */
	XSTATE_LEGACY_BYTES = 576,	/* with the header */

	/* arch/x86/include/uapi/asm/ucontext.h */
	HAS_XSTATE = 1,
	HAS_SS = 2,
	SS_IS_STRICT = 4,

	CPUID_XSTATE = 13,
};

static const uint64_t tile_features = UINT64_C(3) << 17;

struct xstate_software {
	uint32_t magic;
	uint32_t extended_bytes;
	uint64_t features;
	uint32_t bytes;
	uint32_t unused[7];
};

/* As the kernel lays it out; glibc's ucontext_t is longer behind the signal mask. */
struct signal_frame {
	uint64_t restorer;
	uint64_t flags;
	uint64_t link;
	stack_t stack;
	mcontext_t registers;
	uint64_t mask;
	siginfo_t info;
};

_Static_assert(sizeof(struct xstate_software) == 48, "struct _fpx_sw_bytes");
_Static_assert(sizeof(mcontext_t) == 256, "struct sigcontext");
_Static_assert(offsetof(struct signal_frame, registers) == 48, "struct rt_sigframe");
_Static_assert(sizeof(struct signal_frame) == 440, "struct rt_sigframe");

static void fill_registers(mcontext_t *into, const struct user_regs_struct *from)
{
	greg_t *to = into->gregs;

	to[REG_R8] = (greg_t)from->r8;
	to[REG_R9] = (greg_t)from->r9;
	to[REG_R10] = (greg_t)from->r10;
	to[REG_R11] = (greg_t)from->r11;
	to[REG_R12] = (greg_t)from->r12;
	to[REG_R13] = (greg_t)from->r13;
	to[REG_R14] = (greg_t)from->r14;
	to[REG_R15] = (greg_t)from->r15;
	to[REG_RDI] = (greg_t)from->rdi;
	to[REG_RSI] = (greg_t)from->rsi;
	to[REG_RBP] = (greg_t)from->rbp;
	to[REG_RBX] = (greg_t)from->rbx;
	to[REG_RDX] = (greg_t)from->rdx;
	to[REG_RAX] = (greg_t)from->rax;
	to[REG_RCX] = (greg_t)from->rcx;
	to[REG_RSP] = (greg_t)from->rsp;
	to[REG_RIP] = (greg_t)from->rip;
	to[REG_EFL] = (greg_t)from->eflags;
	to[REG_CSGSFS] = (greg_t)(from->cs | from->ss << 48);
}

/* A thread that does not use the large tile registers may not be given them. */
static uint64_t features_of(const uint8_t *xstate)
{
	uint64_t enabled, used;

	memcpy(&enabled, xstate + XSTATE_SOFTWARE_AT, sizeof(enabled));
	memcpy(&used, xstate + XSTATE_HEADER_AT, sizeof(used));
	return enabled & (used | ~tile_features);
}

static uint32_t bytes_of(uint64_t features)
{
	uint32_t end = XSTATE_LEGACY_BYTES;
	unsigned int bytes, at, c, d;

	for (unsigned int i = 2; i < 63; i++) {
		if (!(features >> i & 1))
			continue;
		__cpuid_count(CPUID_XSTATE, i, bytes, at, c, d);
		if (at + bytes > end)
			end = at + bytes;
	}
	return end;
}

size_t trace_net_fill(const struct trace_net *net, const uint8_t *xstate, size_t xstate_bytes,
		      uint8_t *into)
{
	const size_t xstate_at = (sizeof(struct signal_frame) + TRACE_NET_ALIGN - 1) &
				 ~(size_t)(TRACE_NET_ALIGN - 1);
	const uint32_t magic = XSTATE_MAGIC_2;
	struct user_regs_struct registers;
	struct xstate_software software = { .magic = XSTATE_MAGIC_1 };
	struct signal_frame frame;

	memcpy(&registers, net->registers, sizeof(registers));
	memset(&frame, 0, sizeof(frame));
	frame.restorer = net->restorer;
	frame.flags = HAS_XSTATE | HAS_SS | SS_IS_STRICT;
	frame.mask = net->mask;
	fill_registers(&frame.registers, &registers);
	frame.registers.fpregs = (fpregset_t)(uintptr_t)(net->at + xstate_at);
	software.features = features_of(xstate);
	software.bytes = bytes_of(software.features);
	if (software.bytes > xstate_bytes)
		software.bytes = (uint32_t)xstate_bytes;
	software.extended_bytes = software.bytes + (uint32_t)sizeof(magic);
	memset(into, 0, xstate_at);
	memcpy(into, &frame, sizeof(frame));
	memcpy(into + xstate_at, xstate, software.bytes);
	memcpy(into + xstate_at + XSTATE_SOFTWARE_AT, &software, sizeof(software));
	memcpy(into + xstate_at + software.bytes, &magic, sizeof(magic));
	return xstate_at + software.bytes + sizeof(magic);
}
