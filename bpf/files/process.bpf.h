/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The process map: what is kept of each process, and how it is read from a task. */
#ifndef RAQIB_PROCESS_H
#define RAQIB_PROCESS_H

#include "files/path.bpf.h"
#include "files/share.bpf.h"
#include "lib/process_key.bpf.h"

#include <linux/auxvec.h>

#define AUXV_PAIRS 40

/* Identifiers that can change while a process lives. */
static __always_inline void process_read_ids(struct process *process, struct task_struct *task)
{
	struct nsproxy *nsproxy = BPF_CORE_READ(task, nsproxy);
	struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);

	process->ppid = BPF_CORE_READ(task, real_parent, tgid);
	process->uid = BPF_CORE_READ(task, cred, uid.val);
	process->gid = BPF_CORE_READ(task, cred, gid.val);
	bpf_probe_read_kernel(process->comm, sizeof(process->comm), &leader->comm);
	process->cgroup_id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	if (pid) {
		__u32 level = BPF_CORE_READ(pid, level);
		struct pid_namespace *pid_ns;
		struct upid upid = {};

		bpf_probe_read_kernel(&upid.nr, sizeof(upid.nr),
				      (void *)pid + bpf_core_field_offset(struct pid, numbers) +
					      (level & 31) * bpf_core_type_size(struct upid) +
					      bpf_core_field_offset(struct upid, nr));
		bpf_probe_read_kernel(&upid.ns, sizeof(upid.ns),
				      (void *)pid + bpf_core_field_offset(struct pid, numbers) +
					      (level & 31) * bpf_core_type_size(struct upid) +
					      bpf_core_field_offset(struct upid, ns));
		pid_ns = upid.ns;
		process->ns_pid = upid.nr;
		process->pid_ns = BPF_CORE_READ(pid_ns, ns.inum);
	}
	if (nsproxy) {
		process->mnt_ns = BPF_CORE_READ(nsproxy, mnt_ns, ns.inum);
		process->uts_ns = BPF_CORE_READ(nsproxy, uts_ns, ns.inum);
		process->ipc_ns = BPF_CORE_READ(nsproxy, ipc_ns, ns.inum);
		process->net_ns = BPF_CORE_READ(nsproxy, net_ns, ns.inum);
		process->cgroup_ns = BPF_CORE_READ(nsproxy, cgroup_ns, ns.inum);
	}
}

/* A text of up to PATH_BYTES bytes: short ones lie in `field`, long ones also in `texts`, by hash.
 */
static __always_inline void keep_text(char *field, __u32 field_bytes, const char *text, __u32 len,
				      __u64 hash)
{
	struct long_text *slot;
	static const struct long_text empty;

	bpf_probe_read_kernel(field, AT_MOST(len, field_bytes), text);
	if (len <= field_bytes)
		return;
	slot = bpf_map_lookup_elem(&texts, &hash);
	if (!slot) {
		if (bpf_map_update_elem(&texts, &hash, &empty, BPF_NOEXIST))
			COUNT(text_failed);
		slot = bpf_map_lookup_elem(&texts, &hash);
	}
	if (slot) {
		slot->len = len;
		bpf_probe_read_kernel(slot->text, AT_MOST(len, PATH_BYTES), text);
	}
}

struct text_hash {
	const char *bytes;
	struct siphash state;
};

static long text_hash_step(__u64 index, struct text_hash *hash)
{
	__u64 word;

	__builtin_memcpy(&word, hash->bytes + (index & (PATH_BYTES / 8 - 1)) * 8, 8);
	siphash_word(&hash->state, word);
	return 0;
}

/* The hash of `len` bytes that are followed by zeros up to a multiple of 8. */
static __always_inline __u64 hash_text(const char *bytes, __u32 len)
{
	struct text_hash hash = {.bytes = bytes};

	siphash_begin(&hash.state, policy.siphash_key, 2);
	bpf_loop((len + 7) / 8, text_hash_step, &hash, 0);
	siphash_word(&hash.state, len);
	return siphash_digest(&hash.state);
}

/* scratch->args holds `len` bytes of arguments, each ended by a zero byte, beyond which `cut` were
 * left. */
static __always_inline void image_set_args(struct image *image, struct scratch *scratch, __u32 len,
					   bool cut)
{
	image->args_len = len;
	image->flags = 0;
	if (cut) {
		image->flags |= IMAGE_ARGS_TRUNCATED;
		COUNT(args_truncated);
	}
	if (len > ARGS_BYTES) {
		*(__u64 *)&scratch->args[len & (PATH_BYTES - 1)] = 0;
		image->args_hash = hash_text(scratch->args, len);
	}
	keep_text(image->args, ARGS_BYTES, scratch->args, len, image->args_hash);
}

/* Where a program's arguments lie, at most PATH_BYTES - 1 bytes of them. */
struct args_span {
	unsigned long start;
	__u64 len;
	bool cut;
};

static __always_inline struct args_span args_span_of(struct task_struct *task)
{
	struct args_span span = {.start = BPF_CORE_READ(task, mm, arg_start)};

	span.len = BPF_CORE_READ(task, mm, arg_end) - span.start;
	span.cut = span.len > PATH_BYTES - 1;
	if (span.cut)
		span.len = PATH_BYTES - 1;
	CLAMP(span.len, PATH_BYTES - 1);
	return span;
}

/* Of the current process. */
static __always_inline void image_read_args(struct image *image, struct scratch *scratch,
					    struct args_span args)
{
	if (bpf_probe_read_user(scratch->args, args.len, (void *)args.start)) {
		args.len = 0;
		args.cut = true;
	}
	image_set_args(image, scratch, args.len, args.cut);
}

static __always_inline void image_set_exe(struct image *image, struct text *exe)
{
	__u32 len = exe->len;

	image->exe_len = len;
	image->exe_hash = exe->hash;
	keep_text(image->exe, EXE_BYTES, exe->bytes, len, exe->hash);
}

static __always_inline void image_clear(struct image *image)
{
	image->exec_ns = 0;
	image->exe_len = 0;
	image->args_len = 0;
	image->loader_len = 0;
	image->flags = 0;
	image->exe_hash = 0;
	image->args_hash = 0;
}

static __always_inline void tally_clear(struct process *process, __u32 account)
{
	process->tally.last_access = 0;
	process->tally.last_watched = 0;
	process->tally.lost = 0;
	process->tally.share.mark = 0;
	process->tally.share.bytes = 0;
	process->tally.share.watched = 0;
	process->tally.given_ns = 0;
	process->tally.account = account;
	process->tally.untracked = 0;
}

/* Everything of a process that the task itself tells, but for its arguments. */
static __always_inline void process_read(struct process *process, struct scratch *scratch,
					 struct task_struct *task, struct process_key key)
{
	struct task_struct *parent = BPF_CORE_READ(task, real_parent);
	struct file *exe = BPF_CORE_READ(task, mm, exe_file);

	process->key = key;
	process->parent = process_key_of(parent);
	process->exit_ns = 0;
	process->exit_code = 0;
	process->exited = 0;
	tally_clear(process, account_of(task));
	image_clear(&process->now);
	image_clear(&process->before);
	process_read_ids(process, task);
	if (exe) {
		walk_up(scratch, BPF_CORE_READ(exe, f_path.mnt), BPF_CORE_READ(exe, f_path.dentry),
			true);
		emit_text(scratch, &scratch->inside);
		image_set_exe(&process->now, &scratch->inside);
	}
}

/* Take in a process. Whoever pays for it may have no more of them than there is room left. */
static __always_inline long process_insert(struct process *process, __u64 flags)
{
	struct account *account = account_get(process->tally.account);
	long code;

	process->tally.charged = account ? account->id : ACCOUNT_OTHERS;
	if (account && account->processes >= left_of(policy.processes_most, counters.processes_now))
		return -E2BIG;
	code = bpf_map_update_elem(&processes, &process->key, process, flags);
	if (code)
		return code;
	__sync_fetch_and_add(&counters.processes_now, 1);
	if (account)
		__sync_fetch_and_add(&account->processes, 1);
	return 0;
}

/* The oldest of a user's that have ended is forgotten. */
static __noinline int exited_forget(struct account *account)
{
	struct turn_key turn = {.account = account->id};
	struct process_key *key;

	turn.number = *(volatile __u64 *)&account->exited.first;
	if (turn.number >= *(volatile __u64 *)&account->exited.next ||
	    __sync_val_compare_and_swap(&account->exited.first, turn.number, turn.number + 1) !=
		    turn.number)
		return 0;
	__sync_fetch_and_add(&counters.exited_now, -1);
	key = bpf_map_lookup_elem(&exited_turns, &turn);
	if (!key)
		return 0;
	bpf_map_delete_elem(&exited, key);
	bpf_map_delete_elem(&exited_turns, &turn);
	return 0;
}

static __always_inline bool exited_is_full(const struct account *account)
{
	return account->exited.next - account->exited.first >=
	       left_of(policy.exited_most, counters.exited_now);
}

/* Keep a process that has ended. Of a user, no more of them than there is room left: two make room
 * for one, so that who has more than that by now comes down to it. */
static __always_inline void process_keep_exited(struct process *process)
{
	struct account *account = account_get(process->tally.account);
	struct turn_key turn = {};

	if (!account)
		return;
	if (exited_is_full(account))
		exited_forget(account);
	if (exited_is_full(account))
		exited_forget(account);
	if (counters.exited_now >= policy.exited_most) {
		COUNT(exited_full);
		return;
	}
	turn.account = account->id;
	turn.number = __sync_fetch_and_add(&account->exited.next, 1);
	__sync_fetch_and_add(&counters.exited_now, 1);
	if (bpf_map_update_elem(&exited_turns, &turn, &process->key, BPF_ANY) ||
	    bpf_map_update_elem(&exited, &process->key, process, BPF_ANY))
		COUNT(exited_full);
}

static __always_inline void process_delete(struct process *process)
{
	struct account *account = account_get(process->tally.charged);
	struct process_key key = process->key;

	if (bpf_map_delete_elem(&processes, &key))
		return;
	__sync_fetch_and_add(&counters.processes_now, -1);
	if (account)
		__sync_fetch_and_add(&account->processes, -1);
}

/* The entry of the current process; one that is not known yet is made. Where there is no room, it
 * is the processor's own, which remembers nothing. */
static __always_inline struct process *process_current(struct scratch *scratch,
						       struct task_struct *task)
{
	struct process_key key = process_key_of(task);
	struct process *process = bpf_map_lookup_elem(&processes, &key);
	long code;

	if (process)
		return process;
	process_read(&scratch->process, scratch, task, key);
	image_read_args(&scratch->process.now, scratch, args_span_of(task));
	code = process_insert(&scratch->process, BPF_NOEXIST);
	if (code && code != -EEXIST) {
		key.start_ns = 0;
		key.pid = bpf_get_smp_processor_id();
		key.zero = 1;
		process = bpf_map_lookup_elem(&processes, &key);
		if (process)
			bpf_probe_read_kernel(process, sizeof(*process), &scratch->process);
		if (process)
			process->tally.untracked = 1;
		return process;
	}
	return bpf_map_lookup_elem(&processes, &key);
}

#endif
