// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/tiermem_promote: checks what user space asks, and counts.
 *
 * Everything that can be wrong with a request is found before a page is
 * touched, the result array's writability included.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nodemask.h>
#include <linux/uaccess.h>

#include "kernel_calls.h"
#include "promote_batch.h"

#define BATCH_PAGES_MAX 512

static unsigned int batch_pages = BATCH_PAGES_MAX;
module_param(batch_pages, uint, 0644);
MODULE_PARM_DESC(batch_pages, "base pages moved under one TLB flush, 1 to 512");

static struct {
	atomic64_t calls;
	atomic64_t results[TIERMEM_PROMOTE_RESULTS];
	atomic64_t moved_pages;
	atomic64_t isolate_ns;
	atomic64_t migrate_ns;
} counters;

static void count_job(const struct promote_job *job)
{
	u32 seen[TIERMEM_PROMOTE_RESULTS] = {};
	u32 i;

	if (job->dry_run)
		return;
	for (i = 0; i < job->count; i++)
		seen[job->results[i]]++;
	for (i = 0; i < TIERMEM_PROMOTE_RESULTS; i++)
		atomic64_add(seen[i], &counters.results[i]);
	atomic64_inc(&counters.calls);
	atomic64_add(job->moved_pages, &counters.moved_pages);
	atomic64_add(job->isolate_ns, &counters.isolate_ns);
	atomic64_add(job->migrate_ns, &counters.migrate_ns);
}

static int check_target(int node, u32 flags, u32 reserved)
{
	if (flags & ~(u32)TIERMEM_PROMOTE_DRY_RUN || reserved)
		return -EINVAL;
	if (node < 0 || node >= MAX_NUMNODES)
		return -EINVAL;
	return node_state(node, N_MEMORY) ? 0 : -ENODEV;
}

/* Fills results_ptr with NOT_TRIED, so that a bad pointer is known now. */
static int probe_results(struct promote_job *job, u64 results_ptr)
{
	memset(job->results, TIERMEM_NOT_TRIED, job->count);
	if (copy_to_user(u64_to_user_ptr(results_ptr), job->results, job->count))
		return -EFAULT;
	return 0;
}

static int run_job(struct promote_job *job, u64 results_ptr)
{
	int err;

	job->results = kvmalloc(max(job->count, 1U), GFP_KERNEL);
	if (!job->results)
		return -ENOMEM;
	err = probe_results(job, results_ptr);
	if (!err) {
		job->batch_pages = clamp(READ_ONCE(batch_pages), 1U, BATCH_PAGES_MAX);
		err = promote_run(job);
	}
	if (!err) {
		count_job(job);
		if (copy_to_user(u64_to_user_ptr(results_ptr), job->results, job->count))
			err = -EFAULT;
	}
	kvfree(job->results);
	return err;
}

static int count_range_pages(const struct tiermem_pfn_range *ranges, u32 nr_ranges, u32 *count)
{
	u32 i;

	*count = 0;
	for (i = 0; i < nr_ranges; i++) {
		u64 last;

		if (ranges[i].pages > TIERMEM_PROMOTE_BATCH_MAX - *count)
			return -E2BIG;
		if (check_add_overflow(ranges[i].first_pfn, ranges[i].pages, &last))
			return -EINVAL;
		*count += ranges[i].pages;
	}
	return 0;
}

static u64 *expand_ranges(const struct tiermem_pfn_range *ranges, u32 nr_ranges, u32 count)
{
	u64 *pfns = kvmalloc_array(max(count, 1U), sizeof(*pfns), GFP_KERNEL);
	u32 i, n = 0;
	u64 page;

	if (!pfns)
		return ERR_PTR(-ENOMEM);
	for (i = 0; i < nr_ranges; i++)
		for (page = 0; page < ranges[i].pages; page++)
			pfns[n++] = ranges[i].first_pfn + page;
	return pfns;
}

static u64 *copy_ranges(const void __user *user, u32 nr_ranges, u32 *count)
{
	struct tiermem_pfn_range *ranges;
	u64 *pfns;
	int err;

	ranges = vmemdup_array_user(user, nr_ranges, sizeof(*ranges));
	if (IS_ERR(ranges))
		return ERR_CAST(ranges);
	err = count_range_pages(ranges, nr_ranges, count);
	pfns = err ? ERR_PTR(err) : expand_ranges(ranges, nr_ranges, *count);
	kvfree(ranges);
	return pfns;
}

/* Frames and ranges are asked for alike; count is then that of the ranges. */
#define SAME_PLACE(pfns_field, ranges_field)					\
	static_assert(offsetof(struct tiermem_promote_pfns, pfns_field) ==	\
		      offsetof(struct tiermem_promote_ranges, ranges_field))
SAME_PLACE(pfns_ptr, ranges_ptr);
SAME_PLACE(count, nr_ranges);
SAME_PLACE(migrate_ns, migrate_ns);
static_assert(sizeof(struct tiermem_promote_pfns) == sizeof(struct tiermem_promote_ranges));

static long promote(void __user *user, bool are_ranges)
{
	struct tiermem_promote_pfns arg;
	struct promote_job job = {};
	u64 *pfns;
	int err;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	err = check_target(arg.target_node, arg.flags, arg.reserved);
	if (err)
		return err;
	if (arg.count > TIERMEM_PROMOTE_BATCH_MAX)
		return -E2BIG;

	job.count = arg.count;
	if (are_ranges)
		pfns = copy_ranges(u64_to_user_ptr(arg.pfns_ptr), arg.count, &job.count);
	else
		pfns = vmemdup_array_user(u64_to_user_ptr(arg.pfns_ptr), arg.count, sizeof(*pfns));
	if (IS_ERR(pfns))
		return PTR_ERR(pfns);
	job.pfns = pfns;
	job.target_node = arg.target_node;
	job.dry_run = arg.flags & TIERMEM_PROMOTE_DRY_RUN;
	err = run_job(&job, arg.results_ptr);
	kvfree(pfns);
	if (err)
		return err;

	arg.moved_pages = job.moved_pages;
	arg.isolate_ns = job.isolate_ns;
	arg.migrate_ns = job.migrate_ns;
	return copy_to_user(user, &arg, sizeof(arg)) ? -EFAULT : 0;
}

static long read_counters(struct tiermem_promote_counters __user *user)
{
	struct tiermem_promote_counters out = {
		.calls = atomic64_read(&counters.calls),
		.moved_pages = atomic64_read(&counters.moved_pages),
		.isolate_ns = atomic64_read(&counters.isolate_ns),
		.migrate_ns = atomic64_read(&counters.migrate_ns),
	};
	int i;

	for (i = 0; i < TIERMEM_PROMOTE_RESULTS; i++)
		out.results[i] = atomic64_read(&counters.results[i]);
	return copy_to_user(user, &out, sizeof(out)) ? -EFAULT : 0;
}

static int promote_open(struct inode *inode, struct file *file)
{
	if (!capable(CAP_SYS_NICE) && !capable(CAP_SYS_ADMIN))
		return -EPERM;
	return nonseekable_open(inode, file);
}

static long promote_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	void __user *user = (void __user *)arg;

	switch (command) {
	case TIERMEM_PROMOTE_PFNS:
		return promote(user, false);
	case TIERMEM_PROMOTE_RANGES:
		return promote(user, true);
	case TIERMEM_PROMOTE_COUNTERS:
		return read_counters(user);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations promote_fops = {
	.owner = THIS_MODULE,
	.open = promote_open,
	.unlocked_ioctl = promote_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice promote_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "tiermem_promote",
	.fops = &promote_fops,
	.mode = 0600,
};

static int __init promote_init(void)
{
	int err = kernel_calls_find();

	return err ? err : misc_register(&promote_device);
}

static void __exit promote_exit(void)
{
	misc_deregister(&promote_device);
}

module_init(promote_init);
module_exit(promote_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Moves pages named by page frame number to a node");
MODULE_AUTHOR("The tiermem developers");
