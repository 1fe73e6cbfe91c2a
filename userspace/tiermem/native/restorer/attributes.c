// SPDX-License-Identifier: GPL-2.0-or-later
#include "attributes.h"

#include <linux/prctl.h>

#include "bytes.h"
#include "restorer.h"

static long set_group(const struct image_process *process)
{
	if (process->is_session_leader)
		return call(setsid);
	return process->is_group_leader ? call(setpgid, 0, 0) : 0;
}

static long set_oom_score(int32_t score)
{
	char text[20];
	size_t bytes = put_number(text, score);
	long fd = call(open, "/proc/self/oom_score_adj", SYSTEM_O_WRONLY | SYSTEM_O_CLOEXEC, 0);
	long result;

	if (fd < 0)
		return fd;
	result = call(write, fd, text, bytes);
	call(close, fd);
	return result;
}

static int set_limits(struct restorer *r)
{
	for (int which = 0; which < IMAGE_RLIMITS; which++) {
		long result = call(prlimit64, 0, which, &r->image->process.limits[which], NULL);

		if (result < 0)
			return failed(r, RESTORE_STEP_LIMIT, (uint64_t)which, result);
	}
	return 0;
}

int set_attributes(struct restorer *r)
{
	const struct image_process *process = &r->image->process;
	long result = set_group(process);

	if (result >= 0 && process->is_subreaper)
		result = call(prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	if (result >= 0 && process->thp_disabled)
		result = call(prctl, PR_SET_THP_DISABLE, 1, 0, 0, 0);
	if (result >= 0)
		result = call(prctl, PR_SET_TIMERSLACK, process->timer_slack_ns, 0, 0, 0);
	if (result >= 0)
		result = call(personality, process->personality);
	if (result < 0)
		return failed(r, RESTORE_STEP_ATTRIBUTE, 0, result);
	call(umask, process->umask);
	result = call(chdir, image_string(r->image, process->cwd));
	if (result < 0)
		return failed(r, RESTORE_STEP_FOLDER, 0, result);
	if (set_oom_score(process->oom_score_adj) < 0)
		r->report.notes |= RESTORE_NOTE_OOM_SCORE;
	return set_limits(r);
}

int set_dumpable(struct restorer *r)
{
	uint32_t dumpable = r->image->process.dumpable;
	/* 2, for root alone, is what the kernel itself sets; nobody may ask for it. */
	long result = dumpable > 1 ? 0 : call(prctl, PR_SET_DUMPABLE, dumpable, 0, 0, 0);

	return result < 0 ? failed(r, RESTORE_STEP_ATTRIBUTE, 0, result) : 0;
}
