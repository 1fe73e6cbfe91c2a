/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System calls without a C library. They return what the kernel does: -errno on failure.
 */
#ifndef RESTORER_SYSTEM_H
#define RESTORER_SYSTEM_H

#include <asm/unistd.h>
#include <stddef.h>
#include <stdint.h>

#define NS_PER_S 1000000000ULL

static inline long system_call6(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

#define SYSTEM_PICK(_0, _1, _2, _3, _4, _5, _6, name, ...) name
#define SYSTEM_CALL0(n) system_call6(n, 0, 0, 0, 0, 0, 0)
#define SYSTEM_CALL1(n, a) system_call6(n, (long)(a), 0, 0, 0, 0, 0)
#define SYSTEM_CALL2(n, a, b) system_call6(n, (long)(a), (long)(b), 0, 0, 0, 0)
#define SYSTEM_CALL3(n, a, b, c) system_call6(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define SYSTEM_CALL4(n, a, b, c, d) \
	system_call6(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define SYSTEM_CALL5(n, a, b, c, d, e) \
	system_call6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define SYSTEM_CALL6(n, a, b, c, d, e, f) \
	system_call6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* call(close, fd): up to six arguments of any integer or pointer type. */
#define call(name, ...) CALL_EXPANDED(__NR_##name, ##__VA_ARGS__)
#define CALL_EXPANDED(...)                                                                    \
	SYSTEM_PICK(__VA_ARGS__, SYSTEM_CALL6, SYSTEM_CALL5, SYSTEM_CALL4, SYSTEM_CALL3,       \
		    SYSTEM_CALL2, SYSTEM_CALL1, SYSTEM_CALL0, )                                \
	(__VA_ARGS__)

/* What C libraries define, with the kernel's values. */
enum system_constants {
	SYSTEM_AT_FDCWD = -100,
	SYSTEM_O_RDONLY = 0,
	SYSTEM_O_WRONLY = 1,
	SYSTEM_O_RDWR = 2,
	SYSTEM_O_ACCMODE = 3,
	SYSTEM_O_NOCTTY = 0400,
	SYSTEM_O_NONBLOCK = 04000,
	SYSTEM_O_DIRECT = 040000,
	SYSTEM_O_PATH = 010000000,
	SYSTEM_O_CLOEXEC = 02000000,
	SYSTEM_F_SETFD = 2,
	SYSTEM_F_GETFL = 3,
	SYSTEM_F_SETFL = 4,
	SYSTEM_F_DUPFD = 0,
	SYSTEM_F_DUPFD_CLOEXEC = 1030,
	SYSTEM_F_SETPIPE_SZ = 1031,
	SYSTEM_F_ADD_SEALS = 1033,
	SYSTEM_SIGCHLD = 17,
	SYSTEM_SIGKILL = 9,
	SYSTEM_SIGSTOP = 19,
	SYSTEM_SIGNAL_SET_BYTES = 8,
	SYSTEM_WAIT_ALL = 0x40000000,	/* __WALL */
	SYSTEM_WAIT_NO_HANG = 1,
};

/* The one clock that is the same in all time namespaces; only differences are used. */
static inline uint64_t clock_ns(void)
{
	struct {
		int64_t s;
		int64_t ns;
	} now = { 0 };

	call(clock_gettime, 0, &now);
	return (uint64_t)now.s * NS_PER_S + (uint64_t)now.ns;
}

_Noreturn static inline void leave(int status)
{
	for (;;)
		call(exit_group, status);
}

#endif
