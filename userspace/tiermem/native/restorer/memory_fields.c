// SPDX-License-Identifier: GPL-2.0-or-later
#include "memory_fields.h"

#include <linux/prctl.h>

#include "bytes.h"
#include "restorer.h"

int set_memory_fields(struct restorer *r)
{
	const struct image_process *process = &r->image->process;
	const char *name = image_path_name(r->image, process->executable);
	struct prctl_mm_map map;
	long fd, result;

	_Static_assert(offsetof(struct prctl_mm_map, auxv) == sizeof(process->mm), "11 fields");
	fd = call(open, name, SYSTEM_O_RDONLY | SYSTEM_O_CLOEXEC, 0);
	if (fd < 0)
		return failed(r, RESTORE_STEP_FILE, process->executable, fd);
	memcpy(&map, process->mm, sizeof(process->mm));
	map.auxv = (__u64 *)(uintptr_t)image_at(r->image, r->image->auxv.at);
	map.auxv_size = (uint32_t)r->image->auxv.count;
	map.exe_fd = (uint32_t)fd;
	result = call(prctl, PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0);
	call(close, fd);
	return result < 0 ? failed(r, RESTORE_STEP_MEMORY_FIELDS, 0, result) : 0;
}
