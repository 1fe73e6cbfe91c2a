// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QEMU TCG plugin: feeds the tracker device with a guest's memory accesses.
 *
 * Idle, nothing is translated with hooks; only interrupts, exceptions and a
 * vCPU's going to sleep or waking up look whether a doorbell was rung. Arming
 * resets the plugin, which drops all translated code, and registers again with
 * the translation hook; disarming does the same without it.
 *
 * Armed, every block adds its instructions to the vCPU's count inline, and
 * every instruction that may touch memory beyond the stack calls back. Most
 * calls end at the vCPU's first-level filter.
 *
 *	-plugin libtiermem_cxl.so,bar=FILE[,pac=FILE][,trace=FILE],<every key of defaults.toml>=N
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "insn_class.h"
#include "l1_filter.h"
#include "options.h"
#include "plugin_api.h"

PLUGIN_EXPORT int qemu_plugin_version = PLUGIN_API_VERSION;

PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info,
				      int argc, char **argv);

static struct {
	qemu_plugin_id_t id;
	struct device *device;
	qemu_plugin_u64 instructions;	/* executed while armed, by vCPU */
	struct ms_l1 *l1s;		/* by vCPU */
	uint32_t nr_vcpus;
	bool wants_armed;
} plugin;

static void register_callbacks(bool armed);

/* Runs with all vCPUs stopped, old callbacks gone and translated code dropped. */
static void on_reset(void *userdata)
{
	uint32_t i;

	(void)userdata;
	for (i = 0; i < plugin.nr_vcpus; i++)
		ms_l1_clear(&plugin.l1s[i]);
	register_callbacks(plugin.wants_armed);
	device_switch(plugin.device, plugin.wants_armed);
}

static void serve_doorbells(void)
{
	const enum device_wish wish = device_poll(plugin.device);

	if (wish == DEVICE_STAY)
		return;
	plugin.wants_armed = wish == DEVICE_ARM;
	qemu_plugin_reset(plugin.id, on_reset, NULL);
}

static void look_for_doorbells(void)
{
	if (device_is_rung(plugin.device))
		serve_doorbells();
}

static void on_vcpu_event(unsigned int vcpu, void *userdata)
{
	(void)vcpu;
	(void)userdata;
	look_for_doorbells();
}

static void on_discontinuity(unsigned int vcpu, enum qemu_plugin_discon_type type,
			     uint64_t from_pc, uint64_t to_pc, void *userdata)
{
	(void)vcpu;
	(void)type;
	(void)from_pc;
	(void)to_pc;
	(void)userdata;
	look_for_doorbells();
}

/* Behind the first-level filter. The access itself has been done by now. */
static __attribute__((noinline)) void miss(unsigned int vcpu, qemu_plugin_meminfo_t info,
					   uint64_t vaddr, uint64_t *entry,
					   uint64_t new_entry, enum ms_access_kind kind)
{
	const struct qemu_plugin_hwaddr *hw = qemu_plugin_get_hwaddr(info, vaddr);
	const uint64_t instructions = qemu_plugin_u64_get(plugin.instructions, vcpu);
	uint64_t address;

	if (!hw || qemu_plugin_hwaddr_is_io(hw))
		return;
	address = qemu_plugin_hwaddr_phys_addr(hw);
	if (device_owns(plugin.device, address)) {
		/* Never entered in the filter: each store may be a doorbell, each
		 * load one of the clock. */
		device_tick(plugin.device, vcpu, instructions);
	} else {
		*entry = new_entry;
		device_access(plugin.device, vcpu, address, kind, instructions);
	}
	look_for_doorbells();
}

static void on_load(unsigned int vcpu, qemu_plugin_meminfo_t info, uint64_t vaddr,
		    void *userdata)
{
	struct ms_l1 *l1 = &plugin.l1s[vcpu];
	const uint64_t key = ms_l1_key(l1, vaddr);
	uint64_t *entry = ms_l1_entry(l1, vaddr);

	(void)userdata;
	if (__builtin_expect(!ms_l1_load_hits(*entry, key), 0))
		miss(vcpu, info, vaddr, entry, key, MS_LOAD);
}

static inline void store(unsigned int vcpu, qemu_plugin_meminfo_t info, uint64_t vaddr,
			 enum ms_access_kind kind)
{
	struct ms_l1 *l1 = &plugin.l1s[vcpu];
	const uint64_t key = ms_l1_key(l1, vaddr);
	uint64_t *entry = ms_l1_entry(l1, vaddr);

	if (__builtin_expect(!ms_l1_store_hits(*entry, key), 0))
		miss(vcpu, info, vaddr, entry, key | MS_L1_DIRTY, kind);
}

static void on_store(unsigned int vcpu, qemu_plugin_meminfo_t info, uint64_t vaddr,
		     void *userdata)
{
	(void)userdata;
	store(vcpu, info, vaddr, MS_STORE);
}

/* A string store that begins at a line's first byte is taken to write all of it. */
static void on_string_store(unsigned int vcpu, qemu_plugin_meminfo_t info, uint64_t vaddr,
			    void *userdata)
{
	(void)userdata;
	store(vcpu, info, vaddr, vaddr % MS_LINE_BYTES ? MS_STORE : MS_STORE_LINE);
}

static void on_space_switch(unsigned int vcpu, void *userdata)
{
	(void)userdata;
	ms_l1_forget_user(&plugin.l1s[vcpu]);
}

static void on_mapping_change(unsigned int vcpu, void *userdata)
{
	(void)userdata;
	ms_l1_clear(&plugin.l1s[vcpu]);
}

static void watch_memory(struct qemu_plugin_insn *insn, qemu_plugin_mem_cb_t on_write)
{
	qemu_plugin_register_vcpu_mem_cb(insn, on_load, QEMU_PLUGIN_CB_NO_REGS,
					 QEMU_PLUGIN_MEM_R, NULL);
	qemu_plugin_register_vcpu_mem_cb(insn, on_write, QEMU_PLUGIN_CB_NO_REGS,
					 QEMU_PLUGIN_MEM_W, NULL);
}

static void instrument(struct qemu_plugin_insn *insn)
{
	uint8_t bytes[16];
	const size_t size = qemu_plugin_insn_data(insn, bytes, sizeof(bytes));

	switch (insn_classify(bytes, size)) {
	case INSN_STACK_ONLY:
		break;
	case INSN_SWITCHES_SPACE:
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_space_switch,
						       QEMU_PLUGIN_CB_NO_REGS, NULL);
		break;
	case INSN_CHANGES_MAPPING:
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_mapping_change,
						       QEMU_PLUGIN_CB_NO_REGS, NULL);
		break;
	case INSN_STRING:
		watch_memory(insn, on_string_store);
		break;
	case INSN_PLAIN:
		watch_memory(insn, on_store);
		break;
	}
}

static void on_translation(struct qemu_plugin_tb *tb, void *userdata)
{
	const size_t nr_insns = qemu_plugin_tb_n_insns(tb);
	size_t i;

	(void)userdata;
	qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(
		tb, QEMU_PLUGIN_INLINE_ADD_U64, plugin.instructions, nr_insns);
	for (i = 0; i < nr_insns; i++)
		instrument(qemu_plugin_tb_get_insn(tb, i));
}

static void on_exit_of_qemu(void *userdata)
{
	(void)userdata;
	device_close(plugin.device);
}

static void register_callbacks(bool armed)
{
	const qemu_plugin_id_t id = plugin.id;

	qemu_plugin_register_atexit_cb(id, on_exit_of_qemu, NULL);
	qemu_plugin_register_vcpu_idle_cb(id, on_vcpu_event, NULL);
	qemu_plugin_register_vcpu_resume_cb(id, on_vcpu_event, NULL);
	qemu_plugin_register_vcpu_discon_cb(
		id, QEMU_PLUGIN_DISCON_INTERRUPT | QEMU_PLUGIN_DISCON_EXCEPTION,
		on_discontinuity, NULL);
	if (armed)
		qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation, NULL);
}

static int make_vcpus(uint32_t nr_vcpus)
{
	uint32_t i;

	plugin.nr_vcpus = nr_vcpus;
	if (posix_memalign((void **)&plugin.l1s, 64, nr_vcpus * sizeof(struct ms_l1)))
		return -1;
	for (i = 0; i < nr_vcpus; i++)
		ms_l1_clear(&plugin.l1s[i]);
	plugin.instructions.score = qemu_plugin_scoreboard_new(sizeof(uint64_t));
	plugin.instructions.offset = 0;
	return 0;
}

static int check_host(const struct qemu_info *info, char *error, size_t error_bytes)
{
	if (info->version.min > PLUGIN_API_VERSION || info->version.cur < PLUGIN_API_VERSION)
		snprintf(error, error_bytes,
			 "this plugin speaks plugin API version %d, this QEMU %d to %d",
			 PLUGIN_API_VERSION, info->version.min, info->version.cur);
	else if (!info->system_emulation || strcmp(info->target_name, "x86_64"))
		snprintf(error, error_bytes,
			 "this plugin needs qemu-system-x86_64, this QEMU emulates %s%s",
			 info->target_name, info->system_emulation ? "" : " programs");
	else
		return 0;
	return -1;
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc,
			char **argv)
{
	struct device_options options;
	char error[512];

	if (check_host(info, error, sizeof(error)) ||
	    options_parse(&options, argc, argv, error, sizeof(error)))
		goto refused;
	options.nr_vcpus = (uint32_t)info->system.max_vcpus;
	plugin.id = id;
	plugin.device = device_open(&options, error, sizeof(error));
	if (!plugin.device)
		goto refused;
	if (make_vcpus(options.nr_vcpus)) {
		snprintf(error, sizeof(error), "out of memory");
		goto refused;
	}
	register_callbacks(false);
	return 0;
refused:
	fprintf(stderr, "tiermem: %s\n", error);
	return -1;
}
