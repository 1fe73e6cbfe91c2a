// SPDX-License-Identifier: GPL-2.0-or-later
#include "signals.h"

#include "restorer.h"

enum { SIGNAL_INFO_BYTES = 128 };	/* siginfo_t */

int set_actions(struct restorer *r)
{
	const struct image_action *actions = r->image->process.actions;

	for (int number = 1; number <= IMAGE_SIGNALS; number++) {
		const struct image_action *action = &actions[number - 1];
		long result;

		/* All are at their default here. */
		if (number == SYSTEM_SIGKILL || number == SYSTEM_SIGSTOP ||
		    (action->handler == 0 && action->flags == 0 && action->mask == 0))
			continue;
		result = call(rt_sigaction, number, action, NULL, SYSTEM_SIGNAL_SET_BYTES);
		if (result < 0)
			return failed(r, RESTORE_STEP_ACTION, (uint64_t)number, result);
	}
	return 0;
}

/* A sender that is not oneself may not say who it was: everyone sends to himself. */
int queue_signals(struct restorer *r, int tid, uint64_t first, uint64_t count)
{
	int pid = r->image->process.pid;

	for (uint64_t i = first; i < first + count; i++) {
		const int32_t *info = image_at(r->image, r->image->pending_part.at +
								 i * SIGNAL_INFO_BYTES);
		long result = tid ? call(rt_tgsigqueueinfo, pid, tid, info[0], info) :
				    call(rt_sigqueueinfo, pid, info[0], info);

		if (result < 0)
			return failed(r, RESTORE_STEP_SIGNAL, i, result);
	}
	return 0;
}
