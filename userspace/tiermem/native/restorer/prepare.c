// SPDX-License-Identifier: GPL-2.0-or-later
#include "prepare.h"

#include <linux/mount.h>

#include "../fork_image.h"
#include "kernels_own.h"
#include "restorer.h"

void block_signals(void)
{
	uint64_t all = ~0ULL;

	call(rt_sigprocmask, 2, &all, NULL, SYSTEM_SIGNAL_SET_BYTES);
}

/* A program that is started keeps what was ignored. */
static void set_default_actions(void)
{
	struct image_action none = { 0 };

	for (int number = 1; number <= IMAGE_SIGNALS; number++)
		if (number != SYSTEM_SIGKILL && number != SYSTEM_SIGSTOP)
			call(rt_sigaction, number, &none, NULL, SYSTEM_SIGNAL_SET_BYTES);
}

/* What is mounted here is seen here alone; what the host mounts is seen here too. */
static int mount_proc(void)
{
	long result = call(mount, NULL, "/", NULL, MS_REC | MS_SLAVE, NULL);

	if (result < 0)
		return (int)result;
	return (int)call(mount, "proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

int prepare(struct restorer *r)
{
	int result;

	block_signals();
	set_default_actions();
	result = mount_proc();
	if (result == 0)
		result = find_kernels_own(&r->own);
	return result < 0 ? failed(r, RESTORE_STEP_PREPARE, 0, result) : 0;
}
