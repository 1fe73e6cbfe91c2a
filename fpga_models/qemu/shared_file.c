// SPDX-License-Identifier: GPL-2.0-or-later
#include "shared_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int make_room(int fd, size_t bytes, int empty)
{
	struct stat st;

	if (fstat(fd, &st))
		return -1;
	if (empty && ftruncate(fd, 0))
		return -1;
	if (empty || st.st_size < (off_t)bytes)
		return ftruncate(fd, (off_t)bytes);
	return 0;
}

void *shared_file_map(const char *path, size_t bytes, int empty)
{
	void *memory = MAP_FAILED;
	int fd, error;

	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return NULL;
	if (!make_room(fd, bytes, empty))
		memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	error = errno;
	close(fd);
	errno = error;
	return memory == MAP_FAILED ? NULL : memory;
}

void shared_file_unmap(void *memory, size_t bytes)
{
	munmap(memory, bytes);
}
