// SPDX-License-Identifier: GPL-2.0-or-later
/* Lazy pages, in the process that has them. */
#include <linux/ioctl.h>
#include <linux/userfaultfd.h>

#include "lazy_pages.h"
#include "messages.h"
#include "restorer.h"

static int is_lazy(const struct restorer *r)
{
	const struct image_vma *vmas = image_vmas(r->image);

	if (r->fds[RESTORE_FD_PAGES] >= 0)
		return 0;
	for (uint64_t i = 0; i < r->image->vmas.count; i++)
		if (vmas[i].kind == IMAGE_VMA_ANONYMOUS && vmas[i].runs)
			return 1;
	return 0;
}

int lazy_pages_begin(struct restorer *r)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP |
			    UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP,
	};
	long result;

	if (!is_lazy(r))
		return 0;
	r->report.notes |= RESTORE_NOTE_LAZY_PAGES;
	result = call(userfaultfd, SYSTEM_O_CLOEXEC | SYSTEM_O_NONBLOCK);
	if (result >= 0) {
		r->lazy = (int)result;
		result = call(ioctl, r->lazy, UFFDIO_API, &api);
	}
	if (result == 0) {
		struct progress none = { .arena_at = 0 };

		result = send_message(r->channel, &none, sizeof(none), r->lazy);
	}
	return result < 0 ? failed(r, RESTORE_STEP_LAZY_PAGES, 0, result) : 0;
}

int lazy_pages_add(struct restorer *r, const struct image_vma *vma)
{
	struct uffdio_register range = {
		.range = { vma->start, vma->end - vma->start },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	return (int)call(ioctl, r->lazy, UFFDIO_REGISTER, &range);
}
