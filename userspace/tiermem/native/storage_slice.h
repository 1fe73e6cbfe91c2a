/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an instance has of a device, and whether a command keeps to it. */
#ifndef STORAGE_SLICE_H
#define STORAGE_SLICE_H

#ifndef TIERMEM_CDEF
#include <stdint.h>

#include "storage_command.h"
#include "storage_link.h"
#endif

enum storage_slice_limits {
	STORAGE_SLICES_MAX = 64,	/* of a link; their numbers fit 8 bits */
};

struct storage_slice {
	uint64_t offset_bytes;	/* on the device */
	uint64_t blocks;	/* of the link's; 0: there is no such slice */
	int is_read_only;
};

#ifndef TIERMEM_CDEF
/* A command that another host wrote, against the link and its slices (STORAGE_SLICES_MAX
 * of them): what is wrong with it, or STORAGE_OK. */
enum storage_status storage_command_check(const struct storage_command *command,
					  const struct storage_link *link,
					  const struct storage_slice *slices);
#endif

#endif
