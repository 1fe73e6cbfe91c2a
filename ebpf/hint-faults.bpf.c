// SPDX-License-Identifier: GPL-2.0-only
/*
 * NUMA hint faults: how many, on which node's pages, did the page move, and
 * how long did the faulting thread wait? A fault is the time from entry to
 * return of do_numa_page() or do_huge_pmd_numa_page() (where the former is
 * inlined: of handle_mm_fault(), of those calls that numa_migrate_check()
 * marks); task_numa_fault() inside it tells node and outcome.
 */
#include <uapi/linux/ptrace.h>
#include "latency.h"

/* flags of task_numa_fault(), from include/linux/sched/numa_balancing.h */
#define TNF_MIGRATED 0x01
#define TNF_MIGRATE_FAIL 0x10

#define NODES_MAX 64
#define NODE_NONE NODES_MAX

enum outcome {
	OUTCOME_STAYED,
	OUTCOME_MOVED,
	OUTCOME_FAILED,
	OUTCOME_RACED,		/* somebody else had resolved it */
	OUTCOMES,
};

struct fault {
	u64 since_ns;
	u32 node;
	u32 outcome;
	u32 pages;
	u32 is_hint;
};

struct place {
	u32 node;
	u32 outcome;
};

struct faults {
	u64 faults;
	u64 pages;
	u64 total_ns;
};

BPF_HASH(in_flight, u64, struct fault, 8192);
BPF_PERCPU_HASH(by_node, struct place, struct faults, NODES_MAX * OUTCOMES);
BPF_PERCPU_ARRAY(latencies, struct latency, OUTCOMES);

static __always_inline int begin(u32 is_hint)
{
	u64 task = bpf_get_current_pid_tgid();
	struct fault fault = {
		.since_ns = bpf_ktime_get_ns(),
		.node = NODE_NONE,
		.outcome = OUTCOME_RACED,
		.is_hint = is_hint,
	};

	in_flight.update(&task, &fault);
	return 0;
}

int on_hint_fault(struct pt_regs *ctx)
{
	return begin(1);
}

int on_any_fault(struct pt_regs *ctx)
{
	return begin(0);
}

int on_hint_check(struct pt_regs *ctx)
{
	u64 task = bpf_get_current_pid_tgid();
	struct fault *fault = in_flight.lookup(&task);

	if (fault)
		fault->is_hint = 1;
	return 0;
}

/* task_numa_fault(last_cpupid, node, pages, flags) */
int on_numa_fault(struct pt_regs *ctx)
{
	u64 task = bpf_get_current_pid_tgid();
	struct fault *fault = in_flight.lookup(&task);
	u32 flags = PT_REGS_PARM4(ctx);

	if (!fault)
		return 0;
	fault->is_hint = 1;
	fault->node = PT_REGS_PARM2(ctx);
	fault->pages = PT_REGS_PARM3(ctx);
	if (flags & TNF_MIGRATED)
		fault->outcome = OUTCOME_MOVED;
	else if (flags & TNF_MIGRATE_FAIL)
		fault->outcome = OUTCOME_FAILED;
	else
		fault->outcome = OUTCOME_STAYED;
	return 0;
}

int on_fault_end(struct pt_regs *ctx)
{
	u64 task = bpf_get_current_pid_tgid(), now = bpf_ktime_get_ns();
	struct fault *fault = in_flight.lookup(&task);
	struct faults zero = {}, *faults;
	struct place place = {};
	struct latency *latency;

	if (!fault)
		return 0;
	if (fault->is_hint) {
		place.node = fault->node;
		place.outcome = fault->outcome;
		faults = by_node.lookup_or_try_init(&place, &zero);
		if (faults) {
			faults->faults++;
			faults->pages += fault->pages;
			faults->total_ns += now - fault->since_ns;
		}
		latency = latencies.lookup(&place.outcome);
		if (latency)
			latency_add(latency, now - fault->since_ns);
	}
	in_flight.delete(&task);
	return 0;
}
