// SPDX-License-Identifier: GPL-2.0-only
/*
 * Binds the tracker's PCI function and gives it a device node.
 *
 * The function's identity is that of any shared-memory device, so the memory's
 * size and magic decide whether it is ours.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "hpt.h"

static DEFINE_IDA(hpt_ids);

static void free_device(struct kref *ref)
{
	kfree(container_of(ref, struct hpt_device, ref));
}

void hpt_put(struct hpt_device *hpt)
{
	kref_put(&hpt->ref, free_device);
}

static int map_bar(struct hpt_device *hpt, struct pci_dev *pci)
{
	int err;

	if (pci_resource_len(pci, TIERMEM_BAR) != TIERMEM_BAR_BYTES)
		return -ENODEV;
	err = pci_enable_device_mem(pci);
	if (err)
		return err;
	err = pci_request_region(pci, TIERMEM_BAR, KBUILD_MODNAME);
	if (err)
		goto disable;
	hpt->bar_phys = pci_resource_start(pci, TIERMEM_BAR);
	hpt->bar = pci_iomap(pci, TIERMEM_BAR, TIERMEM_BAR_BYTES);
	if (hpt->bar)
		return 0;
	err = -ENOMEM;
	pci_release_region(pci, TIERMEM_BAR);
disable:
	pci_disable_device(pci);
	return err;
}

static void unmap_bar(struct hpt_device *hpt, struct pci_dev *pci)
{
	pci_iounmap(pci, hpt->bar);
	pci_release_region(pci, TIERMEM_BAR);
	pci_disable_device(pci);
}

static int register_node(struct hpt_device *hpt, struct pci_dev *pci)
{
	snprintf(hpt->name, sizeof(hpt->name), "tiermem_hpt%d", hpt->id);
	hpt->misc.minor = MISC_DYNAMIC_MINOR;
	hpt->misc.name = hpt->name;
	hpt->misc.fops = &hpt_fops;
	hpt->misc.mode = 0600;
	hpt->misc.parent = &pci->dev;
	return misc_register(&hpt->misc);
}

static int hpt_probe(struct pci_dev *pci, const struct pci_device_id *id)
{
	struct hpt_device *hpt = kzalloc(sizeof(*hpt), GFP_KERNEL);
	int err;

	if (!hpt)
		return -ENOMEM;
	hpt->id = ida_alloc(&hpt_ids, GFP_KERNEL);
	if (hpt->id < 0) {
		err = hpt->id;
		kfree(hpt);
		return err;
	}
	err = map_bar(hpt, pci);
	if (err)
		goto free_id;
	err = hpt_device_init(hpt);
	if (err)
		goto unmap;
	err = register_node(hpt, pci);
	if (err)
		goto exit_device;
	pci_set_drvdata(pci, hpt);
	return 0;

exit_device:
	hpt_device_exit(hpt);
unmap:
	unmap_bar(hpt, pci);
free_id:
	ida_free(&hpt_ids, hpt->id);
	kfree(hpt);
	return err;
}

static void hpt_remove(struct pci_dev *pci)
{
	struct hpt_device *hpt = pci_get_drvdata(pci);

	misc_deregister(&hpt->misc);
	hpt_revoke(hpt);
	hpt_unmap_files(hpt);
	hpt_device_exit(hpt);
	unmap_bar(hpt, pci);
	ida_free(&hpt_ids, hpt->id);
	hpt_put(hpt);
}

static const struct pci_device_id hpt_pci_ids[] = {
	{ PCI_DEVICE(TIERMEM_PCI_VENDOR, TIERMEM_PCI_DEVICE) },
	{ }
};
MODULE_DEVICE_TABLE(pci, hpt_pci_ids);

static struct pci_driver hpt_driver = {
	.name = "tiermem_hpt",
	.id_table = hpt_pci_ids,
	.probe = hpt_probe,
	.remove = hpt_remove,
};
module_pci_driver(hpt_driver);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Driver of the tiermem tracker device");
MODULE_AUTHOR("The tiermem developers");
