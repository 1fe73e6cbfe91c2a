// SPDX-License-Identifier: GPL-2.0-or-later
#include "files.h"

#include <linux/errno.h>

#include "restorer.h"

/* struct stat of x86-64, as far as it is needed. */
struct file_status {
	uint64_t unused[6];
	int64_t bytes;
	uint64_t unused_too[4];
	int64_t modified_s;
	int64_t modified_ns;
	uint64_t rest[8];
};

static int is_unchanged(int fd, const struct image_path *path)
{
	struct file_status status = { .bytes = -1 };

	call(fstat, fd, &status);
	return (uint64_t)status.bytes == path->bytes &&
	       status.modified_s * (int64_t)NS_PER_S + status.modified_ns == path->modified_ns;
}

void close_mapped_file(struct opened_file *file)
{
	if (file->fd >= 0)
		call(close, file->fd);
	file->fd = -1;
}

int open_mapped_file(struct restorer *r, struct opened_file *file, uint32_t path, int is_shared)
{
	const char *name = image_path_name(r->image, path);
	const struct image_path *record = &image_paths(r->image)[path];
	long fd = -EACCES;

	if (file->fd >= 0 && file->path == path && file->is_writable == is_shared)
		return 0;
	close_mapped_file(file);
	if (is_shared)
		fd = call(open, name, SYSTEM_O_RDWR | SYSTEM_O_CLOEXEC | SYSTEM_O_NOCTTY, 0);
	if (fd < 0)
		fd = call(open, name, SYSTEM_O_RDONLY | SYSTEM_O_CLOEXEC | SYSTEM_O_NOCTTY, 0);
	if (fd < 0)
		return failed(r, RESTORE_STEP_FILE, path, fd);
	*file = (struct opened_file){ (int)fd, path, is_shared };
	if (record->is_fixed && !is_unchanged((int)fd, record))
		return failed(r, RESTORE_STEP_CHANGED_FILE, path, -ESTALE);
	return 0;
}
