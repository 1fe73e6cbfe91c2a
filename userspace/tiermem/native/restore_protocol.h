/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is said to a restorer, and what it says back, on its control socket.
 *
 * A restorer is process 1 of a PID namespace, started ahead. It takes one command, whose
 * descriptors come along with it (enum restore_descriptor), and reports at most twice:
 * that the process runs, or could not be made; and how it has ended. The report that it
 * runs carries the process's credentials, and so its pid as the receiver knows it.
 *
 * Nobody knows of a process that could not be reported: where the socket's other end is
 * closed before that, nothing is left of it. A later command, of which only the flags count,
 * has it go on without whoever asked for it once that one has noted it (RESTORE_DIE_ALONE).
 */
#ifndef RESTORE_PROTOCOL_H
#define RESTORE_PROTOCOL_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#endif

enum restore_limits {
	RESTORE_VERSION = 1,
	RESTORE_CONTROL_FD = 3,	/* a SOCK_SEQPACKET socket, the only thing that is open */
};

/* In this order; the image module's comes last, if there is one. */
enum restore_descriptor {
	RESTORE_FD_POOL = 0,
	RESTORE_FD_STDIN = 1,
	RESTORE_FD_STDOUT = 2,
	RESTORE_FD_STDERR = 3,
	RESTORE_FD_PAGES = 4,
	RESTORE_FDS = 5,
};

enum restore_flags {
	RESTORE_COPY_AHEAD = 1,		/* what was accessed before is copied at once */
	RESTORE_DIE_ALONE = 2,		/* end with whoever holds the socket's other end, also later */
};

struct restore_command {
	uint32_t version;
	uint32_t flags;
	uint64_t image_at;	/* in the pool, a multiple of the page size */
	uint64_t image_bytes;
};

enum restore_outcome {
	RESTORE_RUNS = 1,
	RESTORE_FAILED = 2,	/* nothing is left of it */
	RESTORE_ENDED = 3,	/* code: as wait(2) has it */
};

/* What failed; code is the errno, and item says which one. */
enum restore_step {
	RESTORE_STEP_NONE = 0,
	RESTORE_STEP_PREPARE = 1,
	RESTORE_STEP_COMMAND = 2,
	RESTORE_STEP_POOL = 3,
	RESTORE_STEP_PROCESS = 4,	/* item: its pid */
	RESTORE_STEP_PLACE = 5,		/* item: bytes of free address space */
	RESTORE_STEP_DESCRIPTOR = 6,	/* index into fds */
	RESTORE_STEP_FILE = 7,		/* index into paths */
	RESTORE_STEP_CHANGED_FILE = 8,	/* index into paths */
	RESTORE_STEP_MAPPING = 9,	/* index into vmas */
	RESTORE_STEP_LAZY_PAGES = 10,
	RESTORE_STEP_MEMORY_FIELDS = 11,
	RESTORE_STEP_ACTION = 12,	/* the signal */
	RESTORE_STEP_SIGNAL = 13,	/* index into pending_part */
	RESTORE_STEP_THREAD = 14,	/* index into threads */
	RESTORE_STEP_THREAD_STATE = 15,	/* index into threads */
	RESTORE_STEP_TIMER = 16,	/* index into timers */
	RESTORE_STEP_ITIMER = 17,	/* which */
	RESTORE_STEP_LIMIT = 18,	/* which RLIMIT_ */
	RESTORE_STEP_FOLDER = 19,	/* the working folder */
	RESTORE_STEP_ATTRIBUTE = 20,
	RESTORE_STEP_CREDENTIALS = 21,
	RESTORE_STEP_REGISTERS = 22,	/* index into threads */
	RESTORE_STEP_DIED = 23,		/* code: the signal that killed it half-made */
	RESTORE_STEPS = 24,
};

enum restore_phase {
	RESTORE_PHASE_IMAGE = 0,	/* the pool is mapped, the process begins */
	RESTORE_PHASE_DESCRIPTORS = 1,
	RESTORE_PHASE_MEMORY = 2,
	RESTORE_PHASE_THREADS = 3,
	RESTORE_PHASE_ATTRIBUTES = 4,	/* limits, timers, credentials */
	RESTORE_PHASE_REGISTERS = 5,
	RESTORE_PHASES = 6,
};

/* What is not as it was, though the process runs. */
enum restore_notes {
	RESTORE_NOTE_LAZY_PAGES = 1,	/* served by userfaultfd: copied at the first touch */
	RESTORE_NOTE_CLOCKS = 2,	/* no time namespace: the monotonic clock is the host's */
	RESTORE_NOTE_OOM_SCORE = 4,	/* no right to lower oom_score_adj */
};

struct restore_report {
	uint32_t outcome;
	uint32_t step;
	int32_t code;
	uint32_t notes;
	uint64_t item;
	uint64_t phase_ns[6];
};

#ifndef TIERMEM_CDEF
_Static_assert(sizeof(struct restore_command) == 24, "a command");
_Static_assert(sizeof(struct restore_report) == 72, "a report");
#endif

#endif
