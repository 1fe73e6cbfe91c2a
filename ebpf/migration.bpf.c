// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who migrates pages, from where to where, how does it end and how long does
 * it take? Calls of migrate_pages() by (caller, reason, mode), their latency by
 * (caller, reason), and folios moved by (caller, reason, from node, to node).
 * The caller tells a module's migrations from the kernel's own.
 *
 * The loader defines ARG_<field>: the position of the field among the
 * arguments of the tracepoint migrate:mm_migrate_pages, and ARG_start_<field>
 * for migrate:mm_migrate_pages_start.
 */
#include <uapi/linux/ptrace.h>
#include "folio.h"
#include "latency.h"

/* Reclaim inside the allocation of a target may demote, that is, nest. */
#define NESTING_MAX 3
#define REASON_OUTSIDE 0xff	/* a folio moved outside migrate_pages() */

struct call {
	u64 since_ns;
	u64 caller;
	u64 reason;
};

struct calls {
	u64 depth;
	u64 next_caller;
	struct call at[NESTING_MAX];
};

/*
 * Keeps the compiler from checking the number that an index was made from
 * instead of the index: the verifier of 6.12 does not see that they go together.
 */
#define CHECK_AS_IT_IS(index) asm volatile("" : "+r"(index))

struct outcome_key {
	u64 caller;
	u64 reason;
	u64 mode;
};

struct outcome {
	u64 calls;
	u64 moved_pages;
	u64 failed_pages;
	u64 moved_thps;
	u64 failed_thps;
	u64 split_thps;
	u64 total_ns;
};

struct latency_key {
	u64 caller;
	u64 reason;
};

struct move_key {
	u64 caller;
	u64 reason;
	u64 from_node;
	u64 to_node;
};

struct move {
	u64 folios;
	u64 pages;
};

BPF_HASH(in_flight, u64, struct calls, 8192);
BPF_PERCPU_HASH(outcomes, struct outcome_key, struct outcome, 512);
BPF_PERCPU_HASH(moves, struct move_key, struct move, 1024);
BPF_PERCPU_HASH(latencies, struct latency_key, struct latency, 128);
/* too large for the stack: what a new row of latencies starts from */
BPF_PERCPU_ARRAY(no_latency, struct latency, 1);

/* Entry of migrate_pages(), before its tracepoint: who called? */
int on_migrate_entry(struct pt_regs *ctx)
{
	u64 task = bpf_get_current_pid_tgid();
	struct calls none = {}, *calls;
	u64 caller = 0;

#if defined(__x86_64__)
	bpf_probe_read_kernel(&caller, sizeof(caller), (void *)PT_REGS_SP(ctx));
#elif defined(__aarch64__)
	caller = ctx->regs[30];
#endif
	calls = in_flight.lookup_or_try_init(&task, &none);
	if (calls)
		calls->next_caller = caller;
	return 0;
}

int on_migrate_start(struct bpf_raw_tracepoint_args *ctx)
{
	u64 task = bpf_get_current_pid_tgid();
	struct calls none = {}, *calls;
	u64 depth;

	calls = in_flight.lookup_or_try_init(&task, &none);
	if (!calls)
		return 0;
	depth = calls->depth++;
	if (depth < NESTING_MAX) {
		calls->at[depth].reason = (u32)ctx->args[ARG_start_reason];
		calls->at[depth].caller = calls->next_caller;
		calls->at[depth].since_ns = bpf_ktime_get_ns();
	}
	calls->next_caller = 0;
	return 0;
}

static __always_inline void add_latency(struct call *call, u64 ns)
{
	struct latency_key key = { .caller = call->caller, .reason = call->reason };
	struct latency *latency, *empty;
	u32 first = 0;

	latency = latencies.lookup(&key);
	if (!latency) {
		empty = no_latency.lookup(&first);
		if (empty)
			latencies.update(&key, empty);
		latency = latencies.lookup(&key);
	}
	if (latency)
		latency_add(latency, ns);
}

int on_migrate_end(struct bpf_raw_tracepoint_args *ctx)
{
	u64 task = bpf_get_current_pid_tgid(), now = bpf_ktime_get_ns();
	struct outcome_key key = {};
	struct outcome zero = {}, *outcome;
	struct calls *calls;
	struct call *call;
	u64 depth;

	calls = in_flight.lookup(&task);
	if (!calls || !calls->depth)
		return 0;	/* it had begun before the probe was attached */
	depth = --calls->depth;
	CHECK_AS_IT_IS(depth);
	if (depth < NESTING_MAX) {
		call = &calls->at[depth];
		key.caller = call->caller;
		key.reason = call->reason;
		key.mode = (u32)ctx->args[ARG_mode];
		outcome = outcomes.lookup_or_try_init(&key, &zero);
		if (outcome) {
			outcome->calls++;
			outcome->moved_pages += ctx->args[ARG_succeeded];
			outcome->failed_pages += ctx->args[ARG_failed];
			outcome->moved_thps += ctx->args[ARG_thp_succeeded];
			outcome->failed_thps += ctx->args[ARG_thp_failed];
			outcome->split_thps += ctx->args[ARG_thp_split];
			outcome->total_ns += now - call->since_ns;
		}
		add_latency(call, now - call->since_ns);
	}
	if (!depth)
		in_flight.delete(&task);
	return 0;
}

/* folio_migrate_flags(to, from): every folio whose content has moved. */
int on_folio_moved(struct pt_regs *ctx)
{
	const void *to = (const void *)PT_REGS_PARM1(ctx);
	const void *from = (const void *)PT_REGS_PARM2(ctx);
	u64 task = bpf_get_current_pid_tgid();
	struct move_key key = { .reason = REASON_OUTSIDE };
	struct move zero = {}, *move;
	struct calls *calls;
	u64 depth;

	calls = in_flight.lookup(&task);
	if (calls) {
		depth = calls->depth - 1;
		CHECK_AS_IT_IS(depth);
		if (depth < NESTING_MAX) {
			key.caller = calls->at[depth].caller;
			key.reason = calls->at[depth].reason;
		}
	}
	key.from_node = folio_node(from);
	key.to_node = folio_node(to);
	move = moves.lookup_or_try_init(&key, &zero);
	if (move) {
		move->folios++;
		move->pages += folio_pages(from);
	}
	return 0;
}
