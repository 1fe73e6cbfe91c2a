// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Process 1 of a new PID namespace: makes one process from its image, then stays with it.
 *
 * No C library, no relocations, no data of its own: it can be copied to any address and
 * goes on from there (arena.h).
 */
#include "bytes.h"
#include "clocks.h"
#include "control.h"
#include "kernels_own.h"
#include "make_process.h"
#include "pool_map.h"
#include "prepare.h"
#include "restorer.h"
#include "serve.h"

/* The process, and this one's end of the channel to it. */
static int begin_process(struct restorer *r, int *pid)
{
	int result;

	result = map_image(r);
	if (result < 0)
		return result;
	result = move_descriptors_up(r);
	if (result < 0)
		return result;
	if (clocks_go_on(r->image) < 0)
		r->report.notes |= RESTORE_NOTE_CLOCKS;
	phase_ends(r, RESTORE_PHASE_IMAGE);
	*pid = make_process(r);
	return *pid < 0 ? *pid : 0;
}

/* Only the kernel's entry calls it. */
__attribute__((used, noreturn)) void restorer_start(void)
{
	struct restorer r;
	int pid = 0, result;

	memset(&r, 0, sizeof(r));
	r.control = RESTORE_CONTROL_FD;
	r.channel = r.lazy = -1;
	result = prepare(&r);
	if (result == 0)
		result = receive_command(&r);
	if (result == 0) {
		r.phase_began_ns = clock_ns();
		result = begin_process(&r, &pid);
	}
	if (result < 0) {
		report_failure(&r);
		leave(1);
	}
	serve(&r, pid);
}

__asm__(".globl _start\n"
	"_start:\n"
	"	xor %ebp, %ebp\n"
	"	and $-16, %rsp\n"
	"	call restorer_start\n");
