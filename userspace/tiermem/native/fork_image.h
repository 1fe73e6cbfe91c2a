/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A checkpointed process as it lies in the pool: one extent, read in place.
 *
 *	header		one page: what a host must have, and where the parts are
 *	parts		arrays of the structures below, and the strings they name
 *	data		the process's pages as they were, from data_at on
 *
 * Where a part of the process is 2 MiB of its address space and wholly stored, its data
 * lies as its address does within 2 MiB, so that it can be mapped at once. Written by
 * tiermem.cxlfork, read by the restorer (restorer/) and, as to the runs, by kmod/.
 *
 * All numbers are little-endian. `at` is in bytes from the image's begin. A string is
 * the offset of its first byte in the strings part; it ends with a zero; offset 0 is
 * the empty one.
 */
#ifndef FORK_IMAGE_H
#define FORK_IMAGE_H

#ifndef TIERMEM_CDEF
#include <stddef.h>
#include <stdint.h>
#endif

enum image_limits {
	IMAGE_VERSION = 1,
	IMAGE_PAGE_BYTES = 4096,
	IMAGE_LARGE_PAGES = 512,
	IMAGE_SIGNALS = 64,
	IMAGE_RLIMITS = 16,
	IMAGE_REGISTERS = 27,		/* struct user_regs_struct of x86-64 */
	IMAGE_COMM_BYTES = 16,
	IMAGE_MM_FIELDS = 11,
	IMAGE_ITIMERS = 3,
	IMAGE_POOL_KIND = 0x4b524f46,	/* the kind of its extent: "FORK" */
};

#ifndef TIERMEM_CDEF
#define IMAGE_MAGIC 0x31474d494b524f46ULL	/* "FORKIMG1" */
#endif

struct image_part {
	uint64_t at;
	uint64_t count;		/* of its elements; of bytes where it has none */
};

/* Pages that follow each other both in the process and here; sorted, disjoint, each
 * within one mapping. The same as struct tiermem_image_run of kmod/uapi. */
struct image_run {
	uint64_t first_page;	/* address >> 12 */
	uint64_t pages;
	uint64_t data_page;	/* pages from the image's begin */
};

enum image_vma_kind {
	IMAGE_VMA_ANONYMOUS = 0,
	IMAGE_VMA_STACK = 1,		/* grows down; its pages are copied at once */
	IMAGE_VMA_FILE = 2,		/* private mapping of a file; runs: its changed pages */
	IMAGE_VMA_FILE_SHARED = 3,
	IMAGE_VMA_SHARED = 4,		/* anonymous and shared (with nobody else: no children) */
	IMAGE_VMA_VDSO = 5,
	IMAGE_VMA_VVAR = 6,		/* also [vvar_vclock] */
};

enum image_vma_flags {
	IMAGE_VMA_NO_RESERVE = 1,
	IMAGE_VMA_LOCKED = 2,
	IMAGE_VMA_NO_HUGE_PAGES = 4,
	IMAGE_VMA_HUGE_PAGES = 8,
	IMAGE_VMA_NOT_FORKED = 16,	/* MADV_DONTFORK */
	IMAGE_VMA_WIPED_ON_FORK = 32,
	IMAGE_VMA_NOT_DUMPED = 64,
};

struct image_vma {
	uint64_t start;
	uint64_t end;
	uint64_t file_offset;	/* bytes */
	uint32_t protection;	/* PROT_* */
	uint32_t kind;
	uint32_t flags;
	uint32_t path;		/* index into paths, of a file's */
	uint32_t first_run;	/* index into runs */
	uint32_t runs;
};

/* A file that is mapped or open; opened again by name. */
struct image_path {
	uint32_t name;		/* string */
	uint32_t mode;		/* st_mode */
	uint64_t bytes;		/* st_size and st_mtim must be what they were, where is_fixed */
	int64_t modified_ns;
	uint64_t device_number;	/* st_rdev */
	uint32_t is_fixed;	/* mapped: its contents are part of the process */
	uint32_t reserved;
};

enum image_fd_kind {
	IMAGE_FD_PATH = 0,	/* regular file, folder, device: opened by name */
	IMAGE_FD_PIPE = 1,	/* object: which; value: its capacity; extra: what it holds */
	IMAGE_FD_EVENT = 2,	/* value: count; object: 1 for a semaphore */
	IMAGE_FD_EPOLL = 3,	/* extra: struct image_epoll_item[] */
	IMAGE_FD_TIMER = 4,	/* extra: struct image_timerfd */
	IMAGE_FD_SIGNAL = 5,	/* value: mask */
	IMAGE_FD_INHERITED = 6,	/* of 0, 1, 2: what the restoring side gives in its place */
	IMAGE_FD_LISTENING = 7,	/* extra: struct image_listener, then the address */
	IMAGE_FD_MEMORY = 8,	/* memfd: path names it, extra: its bytes, value: its seals */
};

struct image_fd {
	int32_t number;
	uint32_t kind;
	int32_t same_as;	/* index of an earlier one with the same open file, or -1 */
	uint32_t open_flags;	/* O_*, access mode included; without O_CLOEXEC, O_CREAT, O_TRUNC */
	uint32_t descriptor_flags;	/* FD_CLOEXEC */
	uint32_t path;		/* index into paths */
	int64_t position;
	uint64_t object;	/* pipes: equal for the ends of one */
	uint64_t value;
	struct image_part extra;
};

struct image_epoll_item {
	int32_t fd;
	uint32_t events;
	uint64_t data;
};

struct image_timerfd {
	int32_t clock;
	uint32_t set_flags;
	uint64_t ticks;
	uint64_t value_ns;	/* until it expires */
	uint64_t interval_ns;
};

struct image_listener {
	int32_t family;
	int32_t type;
	int32_t protocol;
	int32_t backlog;
	uint32_t options;	/* 1: SO_REUSEADDR, 2: SO_REUSEPORT, 4: IPV6_V6ONLY */
	uint32_t address_bytes;
};

/* struct kernel_sigaction */
struct image_action {
	uint64_t handler;
	uint64_t flags;
	uint64_t restorer;
	uint64_t mask;
};

struct image_itimer {
	uint64_t value_ns;	/* 0: not armed */
	uint64_t interval_ns;
};

struct image_posix_timer {
	int32_t id;
	int32_t clock;
	int32_t notify;		/* sigev_notify: SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD_ID */
	int32_t signal;
	uint64_t value;		/* sigev_value */
	int32_t thread;		/* tid, for SIGEV_THREAD_ID */
	uint32_t reserved;
	struct image_itimer setting;
};

struct image_rlimit {
	uint64_t soft;
	uint64_t hard;
};

struct image_thread {
	int32_t tid;		/* the first is the leader: tid == pid */
	uint32_t pending;	/* signals waiting for this thread alone: siginfo[] in its part */
	uint64_t first_pending;	/* index into pending */
	char comm[16];
	uint64_t registers[27];	/* struct user_regs_struct, ready to be set */
	uint64_t xstate_at;	/* in the image, 64-byte aligned; header.xstate_bytes long */
	uint64_t signal_mask;
	uint64_t clear_child_tid;
	uint64_t robust_list;
	uint64_t robust_bytes;
	uint64_t rseq;		/* address, 0: none */
	uint32_t rseq_bytes;
	uint32_t rseq_signature;
	uint64_t stack_pointer;	/* sigaltstack */
	uint64_t stack_bytes;
	uint32_t stack_flags;
	int32_t nice;
	uint32_t policy;	/* SCHED_* */
	uint32_t priority;
};

struct image_process {
	int32_t pid;
	uint32_t is_group_leader;
	uint32_t is_session_leader;
	uint32_t umask;
	uint32_t personality;
	uint32_t dumpable;
	uint32_t no_new_privs;
	uint32_t is_subreaper;
	uint32_t thp_disabled;
	int32_t oom_score_adj;
	uint64_t timer_slack_ns;
	uint32_t uids[4];	/* real, effective, saved, file system */
	uint32_t gids[4];
	uint64_t capabilities[5];	/* inheritable, permitted, effective, bounding, ambient */
	uint64_t securebits;
	uint64_t mm[11];	/* struct prctl_mm_map: start_code to env_end */
	uint32_t executable;	/* index into paths */
	uint32_t cwd;		/* string */
	struct image_itimer itimers[3];
	struct image_rlimit limits[16];
	struct image_action actions[64];	/* of signal n at n - 1 */
};

struct image_header {
	uint64_t magic;
	uint32_t version;
	uint32_t checksum;	/* CRC-32C of all before data_at, with this 0 */
	uint64_t bytes;		/* of the whole image */
	uint64_t data_at;	/* a multiple of the page size */
	uint64_t data_pages;
	uint64_t created_ns;	/* since 1970 */
	uint64_t monotonic_ns;	/* the process's clocks when it was stopped */
	uint64_t boottime_ns;
	uint32_t kernel;	/* string: release */
	uint32_t cpu_flags;	/* string: as in /proc/cpuinfo */
	uint32_t vdso_checksum;	/* CRC-32C of its pages */
	uint32_t has_accessed;	/* 1: the A and D bits were to be had */
	uint64_t xfeatures;	/* XCR0 */
	uint64_t xstate_bytes;
	uint64_t gap_at;	/* free address space, 2 MiB of it, for the restorer */
	uint64_t max_fd;	/* the highest descriptor */
	uint64_t pending;	/* signals for the whole process: the first in the pending part */
	struct image_part threads;	/* struct image_thread */
	struct image_part vmas;		/* struct image_vma, sorted */
	struct image_part runs;		/* struct image_run */
	struct image_part paths;	/* struct image_path */
	struct image_part fds;		/* struct image_fd, by number; epoll's come last */
	struct image_part timers;	/* struct image_posix_timer, by id */
	struct image_part pending_part;	/* siginfo_t, 128 bytes each */
	struct image_part groups;	/* uint32_t: supplementary */
	struct image_part auxv;		/* bytes */
	struct image_part strings;	/* bytes */
	struct image_part accessed;	/* a bit for each data page, in uint64_t */
	struct image_part dirty;
	struct image_process process;
};

#ifndef TIERMEM_CDEF
_Static_assert(sizeof(struct image_run) == 24, "a run");
_Static_assert(sizeof(struct image_vma) == 48, "a mapping");
_Static_assert(sizeof(struct image_path) == 40, "a path");
_Static_assert(sizeof(struct image_fd) == 64, "a descriptor");
_Static_assert(sizeof(struct image_posix_timer) == 48, "a timer");
_Static_assert(sizeof(struct image_thread) == 336, "a thread");
_Static_assert(sizeof(struct image_header) <= IMAGE_PAGE_BYTES, "the header is one page");
#endif

#endif
