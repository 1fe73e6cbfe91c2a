// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long does a page fault take, by the node where the page landed? The time
 * is that of handle_mm_fault(); the node is that of the last folio that the
 * faulting thread added to a page table inside it. Row NODE_NONE collects the
 * faults that mapped no new folio (protection changes, the zero page, retries).
 */
#include <uapi/linux/ptrace.h>
#include "folio.h"
#include "latency.h"

#define NODES_MAX 64
#define NODE_NONE NODES_MAX

struct fault {
	u64 since_ns;
	u64 node;
};

BPF_HASH(in_flight, u64, struct fault, 8192);
BPF_PERCPU_HASH(latencies, u32, struct latency, NODES_MAX + 1);
/* too large for the stack: what a new row of latencies starts from */
BPF_PERCPU_ARRAY(no_latency, struct latency, 1);

int on_fault(struct pt_regs *ctx)
{
	u64 task = bpf_get_current_pid_tgid();
	struct fault fault = {
		.since_ns = bpf_ktime_get_ns(),
		.node = NODE_NONE,
	};

	in_flight.update(&task, &fault);
	return 0;
}

/* folio_add_..._rmap...(folio, ...) */
int on_page_mapped(struct pt_regs *ctx)
{
	u64 task = bpf_get_current_pid_tgid();
	struct fault *fault = in_flight.lookup(&task);

	if (fault)
		fault->node = folio_node((const void *)PT_REGS_PARM1(ctx));
	return 0;
}

int on_fault_end(struct pt_regs *ctx)
{
	u64 task = bpf_get_current_pid_tgid(), now = bpf_ktime_get_ns();
	struct fault *fault = in_flight.lookup(&task);
	struct latency *latency, *empty;
	u32 node, first = 0;

	if (!fault)
		return 0;
	node = fault->node < NODES_MAX ? fault->node : NODE_NONE;
	latency = latencies.lookup(&node);
	if (!latency) {
		empty = no_latency.lookup(&first);
		if (empty)
			latencies.update(&node, empty);
		latency = latencies.lookup(&node);
	}
	if (latency)
		latency_add(latency, now - fault->since_ns);
	in_flight.delete(&task);
	return 0;
}
