// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The programs, each named after its hook: they identify task and file and call the core. */
#include <linux/bpf.h>

#include "lib/kernel.h"

#include <asm-generic/errno.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "files/syscalls.bpf.h"
#include "files/exec.bpf.h"
#include "files/requests.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* include/linux/sched/signal.h */
#define SIGNAL_GROUP_EXIT 0x4

static __always_inline bool is_agent(void)
{
	return bpf_get_current_pid_tgid() >> 32 == policy.agent;
}

struct range {
	struct scratch *scratch;
	struct task_struct *task;
	struct process *process;
	__u32 first;
	__u32 actions;
};

static long see_fd_range(__u64 index, struct range *range)
{
	see_fd(range->scratch, range->task, range->process, range->first + index, range->actions);
	return 0;
}

/* Only calls after which the descriptor is gone. */
SEC("tp_btf/sys_enter")
int BPF_PROG(sys_enter, struct pt_regs *regs, long id)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct call call = {.regs = regs, .compat = is_compat(task)};
	struct syscall_row *row = syscall_row(&call, id);
	struct scratch *scratch;
	struct process *process;
	__u32 fd;

	if (!row || row->kind < SYSCALL_FD_ENTER || row->kind > SYSCALL_FD_RANGE_ENTER ||
	    is_agent())
		return 0;
	scratch = scratch_get();
	if (!scratch || !row_applies(row, &call))
		return 0;
	process = process_current(scratch, task);
	if (!process)
		return 0;
	fd = call_arg(&call, row->fd);
	if (row->kind == SYSCALL_FD_ENTER) {
		see_fd(scratch, task, process, fd, row->actions);
	} else {
		__u32 last = call_arg(&call, row->fd2);
		__u32 most = BPF_CORE_READ(task, files, fdt, max_fds);
		struct range range = {.scratch = scratch,
				      .task = task,
				      .process = process,
				      .first = fd,
				      .actions = row->actions};

		if (last >= most)
			last = most - 1;
		if (most && last >= fd)
			bpf_loop(last - fd + 1 < CLOSE_RANGE_MOST ? last - fd + 1
								  : CLOSE_RANGE_MOST,
				 see_fd_range, &range, 0);
	}
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(sys_exit, struct pt_regs *regs, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct call call = {.regs = regs, .compat = is_compat(task)};
	struct syscall_row *row = syscall_row(&call, syscall_number(regs));
	struct scratch *scratch;
	struct process *process;
	int dir;

	if (!row || is_error(&call, ret) || is_agent())
		return 0;
	if (row->kind == SYSCALL_FD_ENTER || row->kind == SYSCALL_FD_RANGE_ENTER)
		return 0;
	scratch = scratch_get();
	if (!scratch || !row_applies(row, &call))
		return 0;
	process = process_current(scratch, task);
	if (!process)
		return 0;
	switch (row->kind) {
	case SYSCALL_OPEN:
		see_open(scratch, task, process, row, &call, ret);
		break;
	case SYSCALL_FD:
		see_fd(scratch, task, process, row_arg(row, &call, row->fd), row->actions);
		if (row->fd2 >= 0)
			see_fd(scratch, task, process, call_arg(&call, row->fd2), row->actions2);
		break;
	case SYSCALL_NAME:
		if (row->flags & SYSCALL_SOCKET) {
			see_socket(scratch, task, process, row_arg(row, &call, row->name),
				   row_arg(row, &call, row->name + 1), row->actions);
			break;
		}
		dir = row->dir >= 0 ? (int)call_arg(&call, row->dir) : AT_FDCWD;
		see_name(scratch, task, process, call_arg(&call, row->name), dir, row->actions,
			 row_follows(row, &call));
		if (row->name2 >= 0) {
			dir = row->dir2 >= 0 ? (int)call_arg(&call, row->dir2) : AT_FDCWD;
			see_name(scratch, task, process, call_arg(&call, row->name2), dir,
				 row->actions2, false);
		}
		break;
	}
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(sched_process_fork, struct task_struct *parent, struct task_struct *child)
{
	struct process_key key;
	struct process *before, *process;
	struct scratch *scratch;

	if (child->pid != child->tgid) /* a thread */
		return 0;
	scratch = scratch_get();
	if (!scratch)
		return 0;
	before = process_current(scratch, parent);
	key = process_key_of(child);
	process = &scratch->process;
	if (before) {
		bpf_probe_read_kernel(process, sizeof(*process), before);
		process->parent = before->key;
		process->key = key;
		process->exited = 0;
		tally_clear(process, before->tally.account);
		if (!process->tally.account)
			process->tally.account = account_of(child);
		image_clear(&process->before);
		process_read_ids(process, child);
	} else {
		process_read(process, scratch, child, key);
	}
	/* Without room it is an entry less to remember: what it does is seen all the same. */
	process_insert(process, BPF_NOEXIST);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(sched_process_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	struct scratch *scratch = scratch_get();
	struct process *process;

	if (!scratch)
		return 0;
	process = process_current(scratch, task);
	if (process)
		see_exec(scratch, task, process, bprm);
	return 0;
}

struct forget {
	struct process_key process;
	__u64 file;
};

/* Drop what has been delivered; what is pending stays for the sweep. */
static long forget_step(__u64 index, struct forget *forget)
{
	struct access_key key = {.process = forget->process, .file = forget->file};
	struct watched *entry = bpf_map_lookup_elem(&watched, &key);

	if (!entry)
		return 1;
	forget->file = entry->next;
	if (!(entry->actions & entry->interest & ~entry->reported))
		watched_drop(&key, entry);
	return forget->file == 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(sched_process_exit, struct task_struct *task)
{
	struct process_key key = process_key_of(task);
	struct process *process;

	if (BPF_CORE_READ(task, signal, live.counter) > 0) /* a thread */
		return 0;
	process = bpf_map_lookup_elem(&processes, &key);
	if (!process)
		return 0;
	process->exit_ns = bpf_ktime_get_boot_ns();
	/* What wait(2) tells: group_exit_code has other uses unless the whole group was told to
	 * exit. */
	if (BPF_CORE_READ(task, signal, flags) & SIGNAL_GROUP_EXIT)
		process->exit_code = BPF_CORE_READ(task, signal, group_exit_code);
	else
		process->exit_code = BPF_CORE_READ(task, group_leader, exit_code);
	/* A barrier too: merge() adds to the chain and settle() takes out of the map, then both
	 * look at this. */
	__sync_lock_test_and_set(&process->exited, 1);
	if (process->tally.last_watched) {
		struct forget forget = {.process = key, .file = process->tally.last_watched};

		bpf_loop(1 << 20, forget_step, &forget, 0);
	}
	process_settle_account(process, task);
	process_keep_exited(process);
	process_delete(process);
	return 0;
}
