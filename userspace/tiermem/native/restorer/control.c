// SPDX-License-Identifier: GPL-2.0-or-later
#include "control.h"

#include <linux/errno.h>
#include <linux/resource.h>

#include "messages.h"
#include "restorer.h"

int receive_command(struct restorer *r)
{
	int count = 0;
	long bytes;

	for (int i = 0; i < RESTORE_FDS; i++)
		r->fds[i] = -1;
	bytes = receive_message(r->control, &r->command, sizeof(r->command), r->fds, RESTORE_FDS,
				&count);
	if (bytes == 0)
		leave(0);
	if (bytes < 0)
		return failed(r, RESTORE_STEP_COMMAND, 0, bytes);
	if (bytes != (long)sizeof(r->command) || r->command.version != RESTORE_VERSION ||
	    count < RESTORE_FD_PAGES)
		return failed(r, RESTORE_STEP_COMMAND, 0, -EINVAL);
	return 0;
}

int hear_command(struct restorer *r)
{
	struct restore_command command;
	int count;

	if (receive_message(r->control, &command, sizeof(command), NULL, 0, &count) <= 0)
		return -EPIPE;
	r->command.flags = command.flags;
	return 0;
}

static int move_up(int *fd, long lowest)
{
	long moved;

	if (*fd < 0)
		return 0;
	moved = call(fcntl, *fd, SYSTEM_F_DUPFD_CLOEXEC, lowest);
	if (moved < 0)
		return (int)moved;
	call(close, *fd);
	*fd = (int)moved;
	return 0;
}

int move_descriptors_up(struct restorer *r)
{
	long lowest = (long)r->image->max_fd + 1;
	struct rlimit64 files;
	int result;

	/* As many as it may have: the process's own limit is set later. */
	if (call(prlimit64, 0, RLIMIT_NOFILE, NULL, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		call(prlimit64, 0, RLIMIT_NOFILE, &files, NULL);
	}
	result = move_up(&r->control, lowest);
	for (int i = 0; i < RESTORE_FDS && result == 0; i++)
		result = move_up(&r->fds[i], lowest);
	return result < 0 ? failed(r, RESTORE_STEP_POOL, 0, result) : 0;
}

int report_running(struct restorer *r, int pid)
{
	r->report.outcome = RESTORE_RUNS;
	return (int)send_message_as(r->control, &r->report, sizeof(r->report), pid);
}

void report_failure(struct restorer *r)
{
	r->report.outcome = RESTORE_FAILED;
	send_message(r->control, &r->report, sizeof(r->report), -1);
}

void report_end(struct restorer *r, int status)
{
	struct restore_report report = { .outcome = RESTORE_ENDED, .code = status };

	send_message(r->control, &report, sizeof(report), -1);
}
