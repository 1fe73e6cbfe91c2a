// SPDX-License-Identifier: GPL-2.0-or-later
/* Lazy pages, in process 1. */
#include <linux/errno.h>
#include <linux/ioctl.h>
#include <linux/userfaultfd.h>

#include "bytes.h"
#include "lazy_pages.h"
#include "restorer.h"

enum {
	MESSAGES_MAX = 16,
	NEIGHBOURS_PAGES = 16,	/* brought along with the page that was touched */
};

#define LAST_PAGE 0x7fffffffe000ULL

int lazy_pages_take(struct lazy_pages *lazy, int fd, const struct image_header *image)
{
	lazy->fd = fd;
	lazy->nr_waiting = 0;
	return page_runs_copy(&lazy->runs, image_runs(image), image->runs.count);
}

void lazy_pages_drop(struct lazy_pages *lazy)
{
	call(close, lazy->fd);
	lazy->fd = -1;
	page_runs_free(&lazy->runs);
}

static long wake(const struct lazy_pages *lazy, uint64_t address)
{
	struct uffdio_range range = { address, IMAGE_PAGE_BYTES };

	return call(ioctl, lazy->fd, UFFDIO_WAKE, &range);
}

static long give_zeros(const struct lazy_pages *lazy, uint64_t address)
{
	struct uffdio_zeropage zeros = { .range = { address, IMAGE_PAGE_BYTES } };

	return call(ioctl, lazy->fd, UFFDIO_ZEROPAGE, &zeros);
}

int lazy_pages_is_needed(const struct lazy_pages *lazy)
{
	/* Nothing is lazy there: the last page is a stack's, if it is anybody's. */
	return give_zeros(lazy, LAST_PAGE) != -ESRCH;
}

static long give_pages(const struct lazy_pages *lazy, const struct image_header *image,
		       const struct image_run *run, uint64_t page, uint64_t pages)
{
	uint64_t data_page = run->data_page + page - run->first_page;
	struct uffdio_copy copy = {
		.dst = page * IMAGE_PAGE_BYTES,
		.src = (uintptr_t)image_at(image, data_page * IMAGE_PAGE_BYTES),
		.len = pages * IMAGE_PAGE_BYTES,
	};
	long result = call(ioctl, lazy->fd, UFFDIO_COPY, &copy);

	/* Some were there already; what was asked for comes first, and was given. */
	return copy.copy > 0 ? 0 : result;
}

/* Whether it need not be tried again. */
static int serve_page(const struct lazy_pages *lazy, const struct image_header *image,
		      uint64_t address)
{
	uint64_t page = address / IMAGE_PAGE_BYTES;
	const struct image_run *run = page_runs_find(&lazy->runs, page);
	long result;

	if (!run) {
		result = give_zeros(lazy, address);
	} else {
		uint64_t pages = run->first_page + run->pages - page;

		result = give_pages(lazy, image, run, page,
				    pages < NEIGHBOURS_PAGES ? pages : NEIGHBOURS_PAGES);
		/* The neighbours may have become another mapping. */
		if (result == -ENOENT)
			result = give_pages(lazy, image, run, page, 1);
	}
	/* It is about to change what is mapped, which it will tell. */
	if (result == -EAGAIN)
		return 0;
	/* It is there, or nothing is mapped there any more. */
	if (result < 0)
		wake(lazy, address);
	return 1;
}

static void heed(struct lazy_pages *lazy, const struct uffd_msg *message,
		 struct lazy_pages *forked)
{
	uint64_t from, to;

	switch (message->event) {
	case UFFD_EVENT_PAGEFAULT:
		from = message->arg.pagefault.address;
		lazy->waiting[lazy->nr_waiting++] = from & ~(uint64_t)(IMAGE_PAGE_BYTES - 1);
		break;
	case UFFD_EVENT_REMOVE:
	case UFFD_EVENT_UNMAP:
		from = message->arg.remove.start / IMAGE_PAGE_BYTES;
		to = message->arg.remove.end / IMAGE_PAGE_BYTES;
		page_runs_cut(&lazy->runs, from, to - from);
		break;
	case UFFD_EVENT_REMAP:
		from = message->arg.remap.from / IMAGE_PAGE_BYTES;
		to = message->arg.remap.to / IMAGE_PAGE_BYTES;
		page_runs_move(&lazy->runs, from, to, message->arg.remap.len / IMAGE_PAGE_BYTES);
		break;
	case UFFD_EVENT_FORK:
		forked->fd = (int)message->arg.fork.ufd;
		forked->nr_waiting = 0;
		page_runs_copy(&forked->runs, lazy->runs.runs, lazy->runs.count);
		break;
	default:
		break;
	}
}

int lazy_pages_serve(struct lazy_pages *lazy, const struct image_header *image,
		     struct lazy_pages *forked)
{
	uint32_t left = 0;

	for (int i = 0; i < MESSAGES_MAX && forked->fd < 0; i++) {
		struct uffd_msg message;

		if (lazy->nr_waiting == LAZY_WAITING_MAX ||
		    call(read, lazy->fd, &message, sizeof(message)) != sizeof(message))
			break;
		heed(lazy, &message, forked);
	}
	for (uint32_t i = 0; i < lazy->nr_waiting; i++)
		if (!serve_page(lazy, image, lazy->waiting[i]))
			lazy->waiting[left++] = lazy->waiting[i];
	lazy->nr_waiting = left;
	return left > 0;
}
