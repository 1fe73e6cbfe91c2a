// SPDX-License-Identifier: GPL-2.0-only
/*
 * tiermem_tlb: an emulated CPU forgets its translations, as a real one does.
 *
 * A CPU notes in a page table entry that a page was accessed when it fetches the
 * translation. A real TLB holds a few thousand of them and fetches anew all the
 * time; QEMU's grows with use until next to nothing is ever evicted. Between two
 * context switches the pages that a program reads all the time then look
 * untouched to DAMON and to the kernel's LRU. This module throws away each CPU's
 * translations every period_ms. A real CPU needs none of it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpuhotplug.h>
#include <linux/irqflags.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/timer.h>

#include <asm/special_insns.h>

#define PERIOD_MS_MAX 10000

static unsigned int period_ms = 4;
module_param(period_ms, uint, 0444);
MODULE_PARM_DESC(period_ms, "time between two flushes, 1 to 10000, rounded up to timer ticks");

static DEFINE_PER_CPU(struct timer_list, turnover_timer);
static enum cpuhp_state hotplug_state;

static void turn_over(struct timer_list *timer)
{
	unsigned long flags;

	/*
	 * Writing CR3 drops all but global translations, which are the kernel's.
	 * On a CPU with a borrowed address space a flush from elsewhere switches
	 * to init_mm; between read and write that would bring back page tables
	 * that may be freed.
	 */
	local_irq_save(flags);
	native_write_cr3(__native_read_cr3());
	local_irq_restore(flags);
	mod_timer(timer, jiffies + msecs_to_jiffies(period_ms));
}

static int turnover_online(unsigned int cpu)
{
	struct timer_list *timer = per_cpu_ptr(&turnover_timer, cpu);

	/* Deferrable: an idle CPU accesses nothing, and need not wake for this. */
	timer_setup(timer, turn_over, TIMER_PINNED | TIMER_DEFERRABLE);
	timer->expires = jiffies + msecs_to_jiffies(period_ms);
	add_timer_on(timer, cpu);
	return 0;
}

static int turnover_offline(unsigned int cpu)
{
	timer_shutdown_sync(per_cpu_ptr(&turnover_timer, cpu));
	return 0;
}

static int __init turnover_init(void)
{
	int ret;

	if (period_ms < 1 || period_ms > PERIOD_MS_MAX) {
		pr_err("period_ms %u: allowed are 1 to %d\n", period_ms, PERIOD_MS_MAX);
		return -EINVAL;
	}
	ret = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "tiermem/tlb:online", turnover_online,
				turnover_offline);
	if (ret < 0)
		return ret;
	hotplug_state = ret;
	return 0;
}

static void __exit turnover_exit(void)
{
	cpuhp_remove_state(hotplug_state);
}

module_init(turnover_init);
module_exit(turnover_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Lets the TLBs of emulated CPUs turn over");
