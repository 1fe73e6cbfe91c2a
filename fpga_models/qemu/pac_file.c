// SPDX-License-Identifier: GPL-2.0-or-later
#include "pac_file.h"

#include "shared_file.h"

int pac_file_open(struct pac_file *file, const char *path, uint64_t limit_bytes)
{
	const uint64_t pages = limit_bytes >> PAC_FILE_PAGE_SHIFT;
	const size_t bytes = PAC_FILE_HEADER_BYTES + pages * sizeof(uint64_t);
	char *memory = shared_file_map(path, bytes, 1);

	if (!memory)
		return -1;
	file->header = (struct pac_file_header *)memory;
	file->counts = (uint64_t *)(memory + PAC_FILE_HEADER_BYTES);
	file->pages = pages;
	file->mapped_bytes = bytes;
	file->header->version = PAC_FILE_VERSION;
	file->header->page_shift = PAC_FILE_PAGE_SHIFT;
	file->header->pages = pages;
	__atomic_store_n(&file->header->magic, PAC_FILE_MAGIC, __ATOMIC_RELEASE);
	return 0;
}

void pac_file_close(struct pac_file *file)
{
	if (file->header)
		shared_file_unmap(file->header, file->mapped_bytes);
	file->header = NULL;
	file->counts = NULL;
	file->pages = 0;
}
