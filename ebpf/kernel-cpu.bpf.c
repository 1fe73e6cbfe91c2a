// SPDX-License-Identifier: GPL-2.0-only
/*
 * How much CPU time does the kernel spend on tiering? A matrix of who (a kernel
 * thread, by kind, or a process) and what it was doing (migration, hint faults,
 * the NUMA balancing scan, reclaim, anything else). Every nanosecond goes into
 * one cell only, that of the innermost activity; time off the CPU into none; a
 * process that does none of these is not watched at all.
 *
 * Threads have an account from their birth, or from the moment the loader makes
 * them known; processes only while an activity lasts. How much a thread has
 * used altogether the scheduler knows best: the reader asks it, and what ended
 * threads had used is kept here.
 *
 * The loader defines TASK_*_OFFSET and ENTITY_RUNTIME_OFFSET: <linux/sched.h>
 * takes several times as long to compile as all the rest.
 */

#define PF_KTHREAD 0x00200000	/* from include/linux/sched.h */
#define NAME_BYTES 16		/* TASK_COMM_LEN, part of the ABI */
#define SCHEDULER_LAG_NS 10000000	/* a tick at 100 Hz: it brings run times up to date */

enum who {
	WHO_PROCESS,
	WHO_APART,	/* processes that the reader accounts for by himself */
	WHO_KDAMOND,
	WHO_KSWAPD,
	WHO_KCOMPACTD,
	WHO_KHUGEPAGED,
	WHOS,
};

/* Values fit the nibbles of account.activities; 0 is the empty stack. */
enum activity {
	ACTIVITY_OTHER,
	ACTIVITY_MIGRATION,
	ACTIVITY_HINT_FAULT,
	ACTIVITY_NUMA_SCAN,
	ACTIVITY_RECLAIM,
	ACTIVITIES,
};

struct account {
	u64 since_ns;		/* 0: not on a CPU */
	u64 used_ns;		/* the task's run time then */
	u64 activities;		/* a stack of nibbles, the innermost lowest */
	u32 who;
	u32 reserved;
};

struct cell {
	u64 ns;
	u64 times;
};

/* A kernel thread with a row that lives. */
struct thread {
	u64 before_ns;		/* what it had used when the probe came */
	u32 who;
	u32 reserved;
};

struct used {
	u64 ns;
};

BPF_HASH(accounts, u32, struct account, 16384);
BPF_HASH(apart, u32, u32, 256);
BPF_HASH(threads, u32, struct thread, 1024);
BPF_PERCPU_ARRAY(cells, struct cell, WHOS * ACTIVITIES);
BPF_PERCPU_ARRAY(ended, struct used, WHOS);	/* by threads that live no more */

static __always_inline struct cell *cell_of(struct account *account)
{
	u32 row = account->who * ACTIVITIES + (account->activities & 0xf);

	return cells.lookup(&row);
}

/* What the scheduler has charged the task, as of its last tick or switch. */
static __always_inline u64 runtime_of(const void *task)
{
	u64 ns = 0;

	bpf_probe_read_kernel(&ns, sizeof(ns),
			      task + TASK_ENTITY_OFFSET + ENTITY_RUNTIME_OFFSET);
	return ns;
}

static __always_inline void begin(struct account *account, const void *task, u64 now)
{
	account->since_ns = now;
	account->used_ns = runtime_of(task);
}

/*
 * The task is the current one. An event can be missed (see enter), that it left the CPU
 * among them: no more is charged than it has run, as far as the scheduler knows.
 */
static __always_inline void charge(struct account *account, u64 now)
{
	const void *task = (const void *)bpf_get_current_task();
	struct cell *cell;
	u64 ns, most;

	if (!account->since_ns)
		return;
	ns = now - account->since_ns;
	most = runtime_of(task) - account->used_ns + SCHEDULER_LAG_NS;
	cell = cell_of(account);
	if (cell)
		cell->ns += ns < most ? ns : most;
	begin(account, task, now);
}

static __always_inline void pop(struct account *account, u32 task)
{
	account->activities >>= 4;
	if (!account->activities && account->who <= WHO_APART)
		accounts.delete(&task);
}

/* sched_switch(preempt, prev, next, ...) */
int on_switch(struct bpf_raw_tracepoint_args *ctx)
{
	const void *next = (const void *)ctx->args[2];
	u32 from = bpf_get_current_pid_tgid(), to = 0;
	/* One reading: what is done here counts for the next, as the scheduler has it. */
	u64 now = bpf_ktime_get_ns();
	struct account *account;

	account = from ? accounts.lookup(&from) : NULL;
	if (account) {
		charge(account, now);
		account->since_ns = 0;
		/*
		 * A hint fault that another thread has resolved may end unseen;
		 * forget it here, at the price of the rest of one that goes on.
		 */
		if ((account->activities & 0xf) == ACTIVITY_HINT_FAULT)
			pop(account, from);
	}
	bpf_probe_read_kernel(&to, sizeof(to), next + TASK_PID_OFFSET);
	account = to ? accounts.lookup(&to) : NULL;
	if (account)
		begin(account, next, now);
	return 0;
}

static __always_inline int enter(u64 activity)
{
	u32 task = bpf_get_current_pid_tgid();
	u32 group = bpf_get_current_pid_tgid() >> 32;
	u64 now = bpf_ktime_get_ns();
	struct account fresh = {}, *account;
	struct cell *cell;

	account = accounts.lookup(&task);
	if (!account) {
		begin(&fresh, (const void *)bpf_get_current_task(), now);
		fresh.who = apart.lookup(&group) ? WHO_APART : WHO_PROCESS;
		accounts.update(&task, &fresh);
		account = accounts.lookup(&task);
		if (!account)
			return 0;
	}
	charge(account, now);
	/*
	 * An end can be missed: a program that another task's event interrupts does
	 * not run for that one. Hint faults and scans come from user mode, inside
	 * nothing else, so whatever is still open then has lost its end.
	 */
	if (activity == ACTIVITY_HINT_FAULT || activity == ACTIVITY_NUMA_SCAN)
		account->activities = activity;
	else if ((account->activities & 0xf) != activity)
		account->activities = account->activities << 4 | activity;
	cell = cell_of(account);
	if (cell)
		cell->times++;
	return 0;
}

static __always_inline int leave(u64 activity)
{
	u32 task = bpf_get_current_pid_tgid();
	struct account *account = accounts.lookup(&task);

	if (!account || (account->activities & 0xf) != activity)
		return 0;
	charge(account, bpf_ktime_get_ns());
	pop(account, task);
	return 0;
}

int on_migrate_start(struct bpf_raw_tracepoint_args *ctx)
{
	return enter(ACTIVITY_MIGRATION);
}

int on_migrate_end(struct bpf_raw_tracepoint_args *ctx)
{
	return leave(ACTIVITY_MIGRATION);
}

int on_reclaim_start(struct bpf_raw_tracepoint_args *ctx)
{
	return enter(ACTIVITY_RECLAIM);
}

int on_reclaim_end(struct bpf_raw_tracepoint_args *ctx)
{
	return leave(ACTIVITY_RECLAIM);
}

int on_hint_fault(struct pt_regs *ctx)
{
	return enter(ACTIVITY_HINT_FAULT);
}

int on_hint_fault_end(struct pt_regs *ctx)
{
	return leave(ACTIVITY_HINT_FAULT);
}

int on_numa_scan(struct pt_regs *ctx)
{
	return enter(ACTIVITY_NUMA_SCAN);
}

int on_numa_scan_end(struct pt_regs *ctx)
{
	return leave(ACTIVITY_NUMA_SCAN);
}

static __always_inline u32 kind_of(const char *name)
{
	if (name[0] != 'k')
		return WHO_PROCESS;
	if (name[1] == 'd' && name[2] == 'a' && name[3] == 'm' && name[4] == 'o' &&
	    name[5] == 'n' && name[6] == 'd')
		return WHO_KDAMOND;
	if (name[1] == 's' && name[2] == 'w' && name[3] == 'a' && name[4] == 'p' &&
	    name[5] == 'd')
		return WHO_KSWAPD;
	if (name[1] == 'c' && name[2] == 'o' && name[3] == 'm' && name[4] == 'p' &&
	    name[5] == 'a' && name[6] == 'c' && name[7] == 't' && name[8] == 'd')
		return WHO_KCOMPACTD;
	if (name[1] == 'h' && name[2] == 'u' && name[3] == 'g' && name[4] == 'e' &&
	    name[5] == 'p' && name[6] == 'a')
		return WHO_KHUGEPAGED;
	return WHO_PROCESS;
}

/* task_newtask(task, ...): kernel threads are born with their names, as kdamonds are. */
int on_new_task(struct bpf_raw_tracepoint_args *ctx)
{
	const void *task = (const void *)ctx->args[0];
	struct account account = {};
	struct thread thread = {};
	char name[NAME_BYTES] = {};
	u32 flags = 0, pid = 0;

	bpf_probe_read_kernel(&flags, sizeof(flags), task + TASK_FLAGS_OFFSET);
	if (!(flags & PF_KTHREAD))
		return 0;
	bpf_probe_read_kernel(name, sizeof(name), task + TASK_COMM_OFFSET);
	account.who = kind_of(name);
	if (account.who == WHO_PROCESS)
		return 0;
	bpf_probe_read_kernel(&pid, sizeof(pid), task + TASK_PID_OFFSET);
	accounts.update(&pid, &account);
	thread.who = account.who;
	threads.update(&pid, &thread);
	return 0;
}

/* sched_process_exit(task, ...) */
int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	u32 task = bpf_get_current_pid_tgid();
	struct account *account = accounts.lookup(&task);
	struct thread *thread = threads.lookup(&task);
	struct used *used;
	u32 who;

	if (thread) {
		who = thread->who;
		used = ended.lookup(&who);
		if (used)
			used->ns += runtime_of((const void *)ctx->args[0]) - thread->before_ns;
		threads.delete(&task);
	}
	if (account) {
		charge(account, bpf_ktime_get_ns());
		accounts.delete(&task);
	}
	return 0;
}
