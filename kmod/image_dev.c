// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/tiermem_image: opens images, and tells what processes hold.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/capability.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "image.h"

struct image_counts image_totals;

void image_read_counts(const struct image_counts *counts, struct tiermem_image_counters *out)
{
	*out = (struct tiermem_image_counters) {
		.mapped_pages = atomic64_read(&counts->mapped_pages),
		.mapped_large = atomic64_read(&counts->mapped_large),
		.copied_pages = atomic64_read(&counts->copied_pages),
		.zero_pages = atomic64_read(&counts->zero_pages),
		.discarded_pages = atomic64_read(&counts->discarded_pages),
		.faults = atomic64_read(&counts->faults),
	};
}

static long open_image(struct tiermem_image_open __user *user)
{
	struct tiermem_image_open asked;
	struct image *image;
	struct file *file;
	int fd;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (copy_from_user(&asked, user, sizeof(asked)))
		return -EFAULT;
	image = image_open(&asked);
	if (IS_ERR(image))
		return PTR_ERR(image);
	file = image_make_file(image);
	if (IS_ERR(file)) {
		image_close(image);
		return PTR_ERR(file);
	}
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd >= 0 && !put_user(fd, &user->fd)) {
		fd_install(fd, file);
		return 0;
	}
	fput(file);
	if (fd < 0)
		return fd;
	put_unused_fd(fd);
	return -EFAULT;
}

static long read_counters(struct tiermem_image_counters __user *user)
{
	struct tiermem_image_counters out;

	image_read_counts(&image_totals, &out);
	return copy_to_user(user, &out, sizeof(out)) ? -EFAULT : 0;
}

static long device_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	void __user *user = (void __user *)arg;

	switch (command) {
	case TIERMEM_IMAGE_OPEN:
		return open_image(user);
	case TIERMEM_IMAGE_PAGES:
		return capable(CAP_SYS_ADMIN) ? image_read_pages(user) : -EPERM;
	case TIERMEM_IMAGE_COUNTERS:
		return read_counters(user);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.open = nonseekable_open,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice image_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "tiermem_image",
	.fops = &device_fops,
	.mode = 0600,
};

static int __init image_init(void)
{
	return misc_register(&image_device);
}

static void __exit image_exit(void)
{
	misc_deregister(&image_device);
	/* Notifiers of mappings that are gone are freed a little later, by our code. */
	mmu_notifier_synchronize();
}

module_init(image_init);
module_exit(image_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Maps process images from pool memory, copied when written to");
MODULE_AUTHOR("The tiermem developers");
