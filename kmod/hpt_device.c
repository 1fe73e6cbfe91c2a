// SPDX-License-Identifier: GPL-2.0-only
/*
 * Speaking to the device's memory: commands, lists, and noticing new lists.
 *
 * The device raises no interrupt. While somebody waits, a timer looks at the
 * list heads; it stops by itself when the last waiter has left.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/io.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/srcu.h>

#include "compat.h"
#include "hpt.h"

#define COMMAND_TIMEOUT_MS 1000
/* A slot may be under the device's pen as soon as its list is this old. */
#define LIST_AGE_MAX (TIERMEM_LIST_SLOTS - 1)

#define REG(hpt, field) ((hpt)->bar + offsetof(struct tiermem_regs, field))

_Static_assert(sizeof(struct tiermem_regs) <= TIERMEM_CLOCK_OFFSET, "registers overlap the clock");
_Static_assert(sizeof(struct tiermem_clock_page) <= 4096, "the clock is one page");
_Static_assert(sizeof(struct tiermem_list) <= TIERMEM_LIST_BYTES, "a list fits its slot");
_Static_assert(TIERMEM_LISTS_OFFSET + TIERMEM_LIST_KINDS * TIERMEM_LIST_SLOTS * TIERMEM_LIST_BYTES <=
	       TIERMEM_BAR_BYTES, "the lists fit the BAR");
_Static_assert(sizeof(struct tiermem_command) == 64, "command block");

static unsigned int poll_interval_us = 1000;
module_param(poll_interval_us, uint, 0644);
MODULE_PARM_DESC(poll_interval_us, "how often to look for new lists while somebody waits, 50 to 1000000");

DEFINE_STATIC_SRCU(hpt_srcu);

bool hpt_enter(struct hpt_device *hpt, int *token)
{
	*token = srcu_read_lock(&hpt_srcu);
	if (!READ_ONCE(hpt->gone))
		return true;
	srcu_read_unlock(&hpt_srcu, *token);
	return false;
}

void hpt_exit(int token)
{
	srcu_read_unlock(&hpt_srcu, token);
}

/* When this returns nobody touches the device's memory any more. */
void hpt_revoke(struct hpt_device *hpt)
{
	WRITE_ONCE(hpt->gone, true);
	synchronize_srcu(&hpt_srcu);
	hrtimer_cancel(&hpt->poll_timer);
	wake_up_all(&hpt->waiters);
}

u32 hpt_list_head(struct hpt_device *hpt, u32 kind)
{
	return readl(REG(hpt, list_head) + kind * sizeof(u32));
}

/* Tells the device up to where lists were read, for its overrun counter. */
void hpt_mark_consumed(struct hpt_device *hpt, u32 kind, u32 next)
{
	void __iomem *tail = REG(hpt, list_tail) + kind * sizeof(u32);

	if ((s32)(next - readl(tail)) > 0)
		writel(next, tail);
}

/*
 * Copies list `number`. -ESTALE: the device has overwritten it, or may be about
 * to. -EIO: what lies in the slot cannot be that list.
 */
int hpt_copy_list(struct hpt_device *hpt, u32 kind, u32 number, struct hpt_list *list)
{
	void __iomem *slot = hpt->bar + TIERMEM_LISTS_OFFSET +
			     (kind * TIERMEM_LIST_SLOTS + number % TIERMEM_LIST_SLOTS) *
			     TIERMEM_LIST_BYTES;

	list->number = readl(slot + offsetof(struct tiermem_list, number));
	list->nr_entries = readl(slot + offsetof(struct tiermem_list, nr_entries));
	list->busy_ns = readq(slot + offsetof(struct tiermem_list, busy_ns));
	list->reads = readq(slot + offsetof(struct tiermem_list, reads));
	if (list->nr_entries <= TIERMEM_LIST_ENTRIES_MAX)
		memcpy_fromio(list->entries, slot + offsetof(struct tiermem_list, entries),
			      list->nr_entries * sizeof(list->entries[0]));

	if (hpt_list_head(hpt, kind) - number > LIST_AGE_MAX)
		return -ESTALE;
	if (list->number != number || list->nr_entries > TIERMEM_LIST_ENTRIES_MAX)
		return -EIO;
	return 0;
}

static int command_error(u32 error)
{
	switch (error) {
	case TIERMEM_HWERR_NONE:
		return 0;
	case TIERMEM_HWERR_OPCODE:
		return -EOPNOTSUPP;
	case TIERMEM_HWERR_ARGUMENT:
	case TIERMEM_HWERR_CONFIG:
		return -EINVAL;
	case TIERMEM_HWERR_STATE:
		return -EBUSY;
	default:
		return -EIO;
	}
}

static int run_command(struct hpt_device *hpt, u32 opcode, u64 arg0, u64 arg1, u64 arg2)
{
	u32 ticket = readl(REG(hpt, guest.doorbell)) + 1;
	ktime_t deadline;

	lockdep_assert_held(&hpt->command_lock);
	if (readl(REG(hpt, state)) == TIERMEM_STATE_ABSENT)
		return -ENODEV;
	/* A timed-out command may have been answered late with this number. */
	if (readl(REG(hpt, guest.completed)) == ticket)
		ticket++;

	writel(opcode, REG(hpt, guest.opcode));
	writeq(arg0, REG(hpt, guest.arg0));
	writeq(arg1, REG(hpt, guest.arg1));
	writeq(arg2, REG(hpt, guest.arg2));
	writel(ticket, REG(hpt, guest.doorbell));

	deadline = ktime_add_ms(ktime_get(), COMMAND_TIMEOUT_MS);
	while (readl(REG(hpt, guest.completed)) != ticket) {
		/* Whoever was kept from looking for so long looks once more. */
		if (ktime_after(ktime_get(), deadline) &&
		    readl(REG(hpt, guest.completed)) != ticket)
			return -ETIMEDOUT;
		usleep_range(20, 100);
	}
	return command_error(readl(REG(hpt, guest.error)));
}

int hpt_command(struct hpt_device *hpt, u32 opcode, u64 arg0, u64 arg1, u64 arg2)
{
	int err;

	if (mutex_lock_interruptible(&hpt->command_lock))
		return -ERESTARTSYS;
	err = run_command(hpt, opcode, arg0, arg1, arg2);
	mutex_unlock(&hpt->command_lock);
	return err;
}

/* From the registers: the host may have configured the device too. */
int hpt_read_config(struct hpt_device *hpt, struct tiermem_hw_config *config)
{
	if (mutex_lock_interruptible(&hpt->command_lock))
		return -ERESTARTSYS;
	memcpy_fromio(config, REG(hpt, config), sizeof(*config));
	mutex_unlock(&hpt->command_lock);
	return 0;
}

/* The device judges the configuration; a refused one leaves no trace. */
int hpt_configure(struct hpt_device *hpt, const struct tiermem_hw_config *config)
{
	struct tiermem_hw_config before;
	int err;

	if (mutex_lock_interruptible(&hpt->command_lock))
		return -ERESTARTSYS;
	memcpy_fromio(&before, REG(hpt, config), sizeof(before));
	memcpy_toio(REG(hpt, config), config, sizeof(*config));
	err = run_command(hpt, TIERMEM_CMD_CONFIGURE, 0, 0, 0);
	if (err)
		memcpy_toio(REG(hpt, config), &before, sizeof(before));
	mutex_unlock(&hpt->command_lock);
	return err;
}

/* The newest list after the answer; -EAGAIN: overwritten, so fast they came. */
int hpt_query(struct hpt_device *hpt, const struct tiermem_hpt_query *query,
	      struct hpt_list *list)
{
	u32 number;
	int err;

	if (mutex_lock_interruptible(&hpt->command_lock))
		return -ERESTARTSYS;
	err = run_command(hpt, TIERMEM_CMD_QUERY, query->kind, query->max_entries, query->keep);
	if (!err) {
		number = hpt_list_head(hpt, query->kind) - 1;
		err = hpt_copy_list(hpt, query->kind, number, list);
	}
	if (!err)
		hpt_mark_consumed(hpt, query->kind, number + 1);
	mutex_unlock(&hpt->command_lock);
	return err == -ESTALE ? -EAGAIN : err;
}

void hpt_read_info(struct hpt_device *hpt, struct tiermem_hpt_info *info)
{
	info->version = readl(REG(hpt, version));
	info->state = readl(REG(hpt, state));
	info->features = readl(REG(hpt, features));
	info->nr_vcpus = min_t(u32, readl(REG(hpt, nr_vcpus)), TIERMEM_VCPUS_MAX);
}

void hpt_read_counters(struct hpt_device *hpt, struct tiermem_hpt_counters *counters)
{
	int kind;

	counters->reads_tracked = readq(REG(hpt, reads_tracked));
	counters->reads_ignored = readq(REG(hpt, reads_ignored));
	counters->writes_seen = readq(REG(hpt, writes_seen));
	counters->rearms = readq(REG(hpt, rearms));
	for (kind = 0; kind < TIERMEM_LIST_KINDS; kind++)
		counters->list_overruns[kind] =
			readq(REG(hpt, list_overruns) + kind * sizeof(u64));
}

static ktime_t poll_interval(void)
{
	return ns_to_ktime(NSEC_PER_USEC * (u64)clamp(READ_ONCE(poll_interval_us), 50U, 1000000U));
}

/* Takes the heads as they are now; true if one is not what it was at the last look. */
static bool look_at_heads(struct hpt_device *hpt)
{
	bool news = false;
	u32 kind;

	for (kind = 0; kind < TIERMEM_LIST_KINDS; kind++) {
		u32 head = hpt_list_head(hpt, kind);

		news |= head != hpt->polled_head[kind];
		hpt->polled_head[kind] = head;
	}
	return news;
}

/*
 * Call between hpt_enter() and hpt_exit(), after joining hpt->waiters, and look
 * for lists once more afterwards: only what comes from here on wakes anybody.
 */
void hpt_kick_poll(struct hpt_device *hpt)
{
	unsigned long flags;

	spin_lock_irqsave(&hpt->poll_lock, flags);
	if (!hpt->polling) {
		hpt->polling = true;
		look_at_heads(hpt);
		hrtimer_start(&hpt->poll_timer, poll_interval(), HRTIMER_MODE_REL);
	}
	spin_unlock_irqrestore(&hpt->poll_lock, flags);
}

/* The lock keeps a waiter that joins just now from being left without a timer. */
static enum hrtimer_restart poll_heads(struct hrtimer *timer)
{
	struct hpt_device *hpt = container_of(timer, struct hpt_device, poll_timer);
	unsigned long flags;
	bool wanted;

	spin_lock_irqsave(&hpt->poll_lock, flags);
	if (look_at_heads(hpt))
		wake_up_interruptible(&hpt->waiters);
	wanted = wq_has_sleeper(&hpt->waiters);
	hpt->polling = wanted;
	if (wanted)
		hrtimer_forward_now(timer, poll_interval());
	spin_unlock_irqrestore(&hpt->poll_lock, flags);
	return wanted ? HRTIMER_RESTART : HRTIMER_NORESTART;
}

/* -ENODEV when what lies behind the BAR is no tracker. */
int hpt_device_init(struct hpt_device *hpt)
{
	if (readq(hpt->bar + offsetof(struct tiermem_regs, magic)) != TIERMEM_MAGIC ||
	    readl(REG(hpt, version)) != TIERMEM_REGS_VERSION)
		return -ENODEV;
	kref_init(&hpt->ref);
	mutex_init(&hpt->command_lock);
	mutex_init(&hpt->files_lock);
	INIT_LIST_HEAD(&hpt->files);
	init_waitqueue_head(&hpt->waiters);
	spin_lock_init(&hpt->poll_lock);
	hrtimer_setup(&hpt->poll_timer, poll_heads, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	writeq(hpt->bar_phys, REG(hpt, bar_phys));
	return 0;
}

/* The device must not take for its own what lies at that address later. */
void hpt_device_exit(struct hpt_device *hpt)
{
	writeq(0, REG(hpt, bar_phys));
}
