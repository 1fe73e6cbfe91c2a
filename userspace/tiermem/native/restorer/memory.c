// SPDX-License-Identifier: GPL-2.0-or-later
#include "memory.h"

#include <linux/mman.h>

#include "files.h"
#include "lazy_pages.h"
#include "pages.h"
#include "restorer.h"

enum {
	LOCK_ON_FAULT = 1,	/* MLOCK_ONFAULT */
	GROWS_DOWN = 0x100,	/* MAP_GROWSDOWN */
	NO_RESERVE = 0x4000,	/* MAP_NORESERVE */
	ADVICE_NOT_FORKED = 10,
	ADVICE_HUGE_PAGES = 14,
	ADVICE_NO_HUGE_PAGES = 15,
	ADVICE_NOT_DUMPED = 16,
	ADVICE_WIPED_ON_FORK = 18,
};

/* How the pages of a mapping come to be there. */
enum contents {
	CONTENTS_MAPPED,	/* by what is mapped */
	CONTENTS_COPIED,	/* at once */
	CONTENTS_LAZY,		/* by userfaultfd */
	CONTENTS_LAID_OVER,	/* the image's mapped over the file's */
};

struct plan {
	uint64_t flags;
	int fd;
	uint64_t offset;
	enum contents contents;
};

static struct plan plan_anonymous(const struct restorer *r, const struct image_vma *vma)
{
	struct plan plan = { MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, CONTENTS_MAPPED };

	if (vma->runs == 0)
		return plan;
	/* Only what has no file at all may be wiped on fork. */
	if (vma->flags & IMAGE_VMA_WIPED_ON_FORK) {
		plan.contents = CONTENTS_COPIED;
	} else if (r->fds[RESTORE_FD_PAGES] >= 0) {
		plan.flags = MAP_PRIVATE;
		plan.fd = r->fds[RESTORE_FD_PAGES];
		plan.offset = vma->start;
	} else {
		plan.contents = CONTENTS_LAZY;
	}
	return plan;
}

static int plan_file(struct restorer *r, const struct image_vma *vma, struct opened_file *file,
		     struct plan *plan)
{
	int is_shared = vma->kind == IMAGE_VMA_FILE_SHARED;
	int result = open_mapped_file(r, file, vma->path, is_shared);

	if (result < 0)
		return result;
	plan->flags = is_shared ? MAP_SHARED : MAP_PRIVATE;
	plan->fd = file->fd;
	plan->offset = vma->file_offset;
	plan->contents = CONTENTS_MAPPED;
	if (vma->runs)
		plan->contents = r->fds[RESTORE_FD_PAGES] >= 0 ? CONTENTS_LAID_OVER :
								 CONTENTS_COPIED;
	return 0;
}

static int make_plan(struct restorer *r, const struct image_vma *vma, struct opened_file *file,
		     struct plan *plan)
{
	switch (vma->kind) {
	case IMAGE_VMA_ANONYMOUS:
		*plan = plan_anonymous(r, vma);
		return 0;
	case IMAGE_VMA_STACK:
		*plan = (struct plan){ MAP_PRIVATE | MAP_ANONYMOUS | GROWS_DOWN, -1, 0,
				       CONTENTS_COPIED };
		return 0;
	case IMAGE_VMA_SHARED:
		*plan = (struct plan){ MAP_SHARED | MAP_ANONYMOUS, -1, 0, CONTENTS_COPIED };
		return 0;
	default:
		return plan_file(r, vma, file, plan);
	}
}

static int fill(struct restorer *r, const struct image_vma *vma, enum contents contents)
{
	switch (contents) {
	case CONTENTS_COPIED:
		return copy_pages(r, vma);
	case CONTENTS_LAZY:
		return lazy_pages_add(r, vma);
	case CONTENTS_LAID_OVER:
		return lay_pages_over(r, vma);
	default:
		return 0;
	}
}

static int set_flags(const struct image_vma *vma)
{
	static const struct {
		uint16_t flag;
		uint16_t advice;
	} advices[] = {
		{ IMAGE_VMA_NOT_FORKED, ADVICE_NOT_FORKED },
		{ IMAGE_VMA_WIPED_ON_FORK, ADVICE_WIPED_ON_FORK },
		{ IMAGE_VMA_NOT_DUMPED, ADVICE_NOT_DUMPED },
		{ IMAGE_VMA_HUGE_PAGES, ADVICE_HUGE_PAGES },
		{ IMAGE_VMA_NO_HUGE_PAGES, ADVICE_NO_HUGE_PAGES },
	};
	uint64_t bytes = vma->end - vma->start;
	long result = 0;

	for (unsigned int i = 0; i < sizeof(advices) / sizeof(advices[0]) && result == 0; i++) {
		if (!(vma->flags & advices[i].flag))
			continue;
		result = call(madvise, vma->start, bytes, advices[i].advice);
		/* A kernel may be built without huge pages; they are but a wish. */
		if (advices[i].flag & (IMAGE_VMA_HUGE_PAGES | IMAGE_VMA_NO_HUGE_PAGES))
			result = 0;
	}
	if (result == 0 && vma->flags & IMAGE_VMA_LOCKED)
		result = call(mlock2, vma->start, bytes, LOCK_ON_FAULT);
	return (int)result;
}

static int make_mapping(struct restorer *r, const struct image_vma *vma, struct opened_file *file)
{
	uint64_t protection = vma->protection;
	struct plan plan;
	long result = make_plan(r, vma, file, &plan);

	if (result < 0)
		return (int)result;
	if (vma->flags & IMAGE_VMA_NO_RESERVE)
		plan.flags |= NO_RESERVE;
	if (plan.contents == CONTENTS_COPIED)
		protection |= PROT_READ | PROT_WRITE;
	if (plan.fd >= 0 && plan.fd == r->fds[RESTORE_FD_PAGES])
		protection &= ~(uint64_t)PROT_EXEC;
	result = call(mmap, vma->start, vma->end - vma->start, protection, plan.flags | MAP_FIXED,
		      plan.fd, plan.offset);
	if (result < 0)
		return (int)result;
	result = fill(r, vma, plan.contents);
	if (result == 0 && protection != vma->protection)
		result = call(mprotect, vma->start, vma->end - vma->start, vma->protection);
	if (result == 0)
		result = set_flags(vma);
	return (int)result;
}

int make_memory(struct restorer *r)
{
	const struct image_vma *vmas = image_vmas(r->image);
	struct opened_file file = { .fd = -1 };
	int result = 0;

	for (uint64_t i = 0; i < r->image->vmas.count && result == 0; i++) {
		if (vmas[i].kind == IMAGE_VMA_VDSO || vmas[i].kind == IMAGE_VMA_VVAR)
			continue;
		result = make_mapping(r, &vmas[i], &file);
		if (result < 0)
			failed(r, RESTORE_STEP_MAPPING, i, result);
	}
	close_mapped_file(&file);
	if (result == 0 && r->command.flags & RESTORE_COPY_AHEAD && r->fds[RESTORE_FD_PAGES] >= 0)
		result = copy_accessed_ahead(r);
	return result;
}
