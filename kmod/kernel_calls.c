// SPDX-License-Identifier: GPL-2.0-only
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kprobes.h>

#include "kernel_calls.h"

DEFINE_STATIC_CALL_NULL(tiermem_migrate_pages, migrate_pages);
DEFINE_STATIC_CALL_NULL(tiermem_putback_movable_pages, putback_movable_pages);
DEFINE_STATIC_CALL_NULL(tiermem_folio_isolate_lru, folio_isolate_lru);
DEFINE_STATIC_CALL_NULL(tiermem_lru_add_drain_all, lru_add_drain_all);

/*
 * A disabled kprobe resolves a name without patching anything. With IBT its
 * address lies just after the ENDBR, which a direct call may skip.
 */
static void *find_function(const char *name)
{
	struct kprobe probe = {
		.symbol_name = name,
		.flags = KPROBE_FLAG_DISABLED,
	};
	void *address;
	int err;

	err = register_kprobe(&probe);
	if (err) {
		pr_err("this kernel has no function %s (%d)\n", name, err);
		return NULL;
	}
	address = probe.addr;
	unregister_kprobe(&probe);
	return address;
}

#define FIND(function)								\
	({									\
		void *address = find_function(#function);			\
		if (address)							\
			static_call_update(tiermem_##function,			\
					   (typeof(&function))address);		\
		address != NULL;						\
	})

int kernel_calls_find(void)
{
	if (FIND(migrate_pages) && FIND(putback_movable_pages) &&
	    FIND(folio_isolate_lru) && FIND(lru_add_drain_all))
		return 0;
	return -ENOENT;
}
