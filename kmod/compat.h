/* SPDX-License-Identifier: GPL-2.0-only */
/* What differs between the kernels these modules build for (6.12 and later). */
#ifndef TIERMEM_COMPAT_H
#define TIERMEM_COMPAT_H

#include <linux/hrtimer.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/swap.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
static inline void hrtimer_setup(struct hrtimer *timer,
				 enum hrtimer_restart (*function)(struct hrtimer *),
				 clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = function;
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
#include <linux/pfn_t.h>

static inline vm_fault_t compat_insert_pfn_pmd(struct vm_fault *vmf, unsigned long pfn)
{
	return vmf_insert_pfn_pmd(vmf, __pfn_to_pfn_t(pfn, PFN_DEV), false);
}
#else
static inline vm_fault_t compat_insert_pfn_pmd(struct vm_fault *vmf, unsigned long pfn)
{
	return vmf_insert_pfn_pmd(vmf, pfn, false);
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0)
static inline struct dev_pagemap *compat_get_dev_pagemap(unsigned long pfn)
{
	return get_dev_pagemap(pfn, NULL);
}
#else
static inline struct dev_pagemap *compat_get_dev_pagemap(unsigned long pfn)
{
	return get_dev_pagemap(pfn);
}
#endif

/* An entry that says nothing of a page, only of its place. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 19, 0)
#include <linux/swapops.h>

static inline bool compat_pte_is_marker(pte_t pte)
{
	return is_pte_marker(pte);
}
#else
#include <linux/leafops.h>

static inline bool compat_pte_is_marker(pte_t pte)
{
	return pte_is_marker(pte);
}
#endif

#endif
