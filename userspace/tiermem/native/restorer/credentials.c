// SPDX-License-Identifier: GPL-2.0-or-later
#include "credentials.h"

#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/prctl.h>
#include <linux/securebits.h>

#include "restorer.h"

enum { INHERITABLE, PERMITTED, EFFECTIVE, BOUNDING, AMBIENT };

static long limit_capabilities(uint64_t bounding)
{
	long result = 0;

	for (int number = 0; number < 64 && result == 0; number++) {
		int is_wanted = bounding >> number & 1;
		long is_had = call(prctl, PR_CAPBSET_READ, number, 0, 0, 0);

		/* Beyond those that this kernel has. */
		if (is_had < 0)
			break;
		if (is_wanted && !is_had)
			result = -EPERM;
		else if (is_had && !is_wanted)
			result = call(prctl, PR_CAPBSET_DROP, number, 0, 0, 0);
	}
	return result;
}

static long set_ids(struct restorer *r)
{
	const struct image_process *process = &r->image->process;
	const uint32_t *uids = process->uids, *gids = process->gids;
	long result = call(setgroups, r->image->groups.count,
			   image_at(r->image, r->image->groups.at));

	if (result == 0)
		result = call(setresgid, gids[0], gids[1], gids[2]);
	if (result == 0)
		result = call(setresuid, uids[0], uids[1], uids[2]);
	if (result < 0)
		return result;
	/* These two return what was before; what is refused shows when they are asked again. */
	call(setfsgid, gids[3]);
	call(setfsuid, uids[3]);
	if (call(setfsgid, -1) != gids[3] || call(setfsuid, -1) != uids[3])
		return -EPERM;
	return 0;
}

static long set_capabilities(const uint64_t *wanted)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct halves[2];
	long result;

	for (int i = 0; i < 2; i++) {
		halves[i].inheritable = (uint32_t)(wanted[INHERITABLE] >> 32 * i);
		halves[i].permitted = (uint32_t)(wanted[PERMITTED] >> 32 * i);
		halves[i].effective = (uint32_t)(wanted[EFFECTIVE] >> 32 * i);
	}
	result = call(capset, &header, halves);
	for (int number = 0; number < 64 && result == 0; number++)
		if (wanted[AMBIENT] >> number & 1)
			result = call(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0);
	return result;
}

int set_users(struct restorer *r)
{
	const struct image_process *process = &r->image->process;
	/* Capabilities stay as they are while users change. */
	uint64_t kept = 1 << SECURE_KEEP_CAPS | 1 << SECURE_NO_SETUID_FIXUP;
	long result = limit_capabilities(process->capabilities[BOUNDING]);

	if (result == 0)
		result = call(prctl, PR_SET_SECUREBITS, kept, 0, 0, 0);
	if (result == 0)
		result = set_ids(r);
	if (result == 0)
		result = call(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (result == 0 && process->no_new_privs)
		result = call(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return result < 0 ? failed(r, RESTORE_STEP_CREDENTIALS, 0, result) : 0;
}

int give_up_rights(struct restorer *r)
{
	const struct image_process *process = &r->image->process;
	long result = call(prctl, PR_SET_SECUREBITS, process->securebits, 0, 0, 0);

	if (result == 0)
		result = set_capabilities(process->capabilities);
	return result < 0 ? failed(r, RESTORE_STEP_CREDENTIALS, 0, result) : 0;
}
