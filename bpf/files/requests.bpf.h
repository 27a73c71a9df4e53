/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the daemon asks for itself: programs that it runs, no hooks. */
#ifndef RAQIB_REQUESTS_H
#define RAQIB_REQUESTS_H

#include "files/exec.bpf.h"

/* Run once at start: the processes that were there before the hooks. */
SEC("iter.s/task")
int existing_processes(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct scratch *scratch = scratch_get_sleepable();

	if (task && scratch && task->pid == task->tgid)
		see_existing(scratch, task);
	return 0;
}

/* The daemon asks who it is to the kernel: within a pid namespace it would not know. */
SEC("syscall")
int identify(struct process_key *key)
{
	*key = process_key_of(bpf_get_current_task_btf());
	return 0;
}

static __always_inline bool path_from_user(struct scratch *scratch, __u64 address, __u32 len)
{
	if (len >= PATH_BYTES || bpf_copy_from_user(scratch->name, len, (void *)address))
		return false;
	span_clear(scratch);
	split_name(scratch, len, false);
	emit_text(scratch, &scratch->path);
	return true;
}

/* The daemon asks for the hash of a path: one algorithm, in one place. */
SEC("syscall")
int hash_path(struct hash_request *request)
{
	struct scratch *scratch = scratch_get_sleepable();

	if (!scratch || !path_from_user(scratch, request->path, request->path_len))
		return -EINVAL;
	request->hash = scratch->path.hash;
	request->dir_hash = scratch->path.dir_hash;
	request->base_hash = scratch->path.base_hash;
	return 0;
}

/* One question instead of one for each file. The map forgets: a file that comes again is put before
 * those that follow it, so that the chain may lead back; the daemon sees it. */
SEC("syscall")
int list_accessed(struct list_request *request)
{
	struct access_key key = {.process = request->process};
	struct process *process = bpf_map_lookup_elem(&processes, &key.process);
	__u32 zero = 0, count;
	struct listing *listing = bpf_map_lookup_elem(&listings, &zero);
	struct access *known;

	if (!process)
		process = bpf_map_lookup_elem(&exited, &key.process);
	key.file = process ? process->tally.last_access : 0;
	for (count = 0; listing && count < MOST_LISTED && key.file; count++) {
		known = bpf_map_lookup_elem(&accesses, &key);
		if (!known)
			break;
		listing->files[count].file = key.file;
		listing->files[count].actions = known->actions;
		key.file = known->next;
	}
	request->count = count;
	return 0;
}

/* The daemon found out that a name matters, or where it led. */
SEC("syscall")
int merge(struct merge_request *request)
{
	struct scratch *scratch = scratch_get_sleepable();
	struct access_key key = {};
	struct process *process;
	struct watched *entry;
	struct access *known;

	key.process = request->process;
	request->total = request->actions;
	if (!scratch || !path_from_user(scratch, request->path, request->path_len))
		return -EINVAL;
	key.file = scratch->path.hash;
	known = bpf_map_lookup_elem(&accesses, &key);
	if (known)
		request->total |= __sync_fetch_and_or(&known->actions, request->actions);
	entry = bpf_map_lookup_elem(&watched, &key);
	process = bpf_map_lookup_elem(&processes, &key.process);
	if (!entry && process && request->interest) {
		scratch->note.task = 0;
		scratch->note.flags = 0;
		scratch->note.has_used = 0;
		scratch->note.has_inside = 0;
		scratch->note.told = 0;
		scratch->note.interest = request->interest;
		entry = watched_get(scratch, process, &key);
		/* Its end may have passed by meanwhile. */
		if (process->exited) {
			if (entry)
				watched_drop(&key, entry);
			return 0;
		}
	}
	if (entry) {
		request->total |= __sync_fetch_and_or(&entry->actions, request->actions);
		__sync_fetch_and_or(&entry->reported, request->told);
	}
	return 0;
}

/* The daemon delivered what was pending. */
SEC("syscall")
int settle(struct settle_request *request)
{
	struct access_key key = request->key;
	struct watched *entry = bpf_map_lookup_elem(&watched, &key);
	struct process *process;

	request->actions = 0;
	if (!entry)
		return 0;
	if (request->forget) {
		request->actions = __sync_lock_test_and_set(&entry->actions, 0);
		watched_drop(&key, entry);
		return 0;
	}
	__sync_fetch_and_or(&entry->reported, request->reported);
	/* A process drops what has been delivered when it ends, but not what still waits then. */
	process = bpf_map_lookup_elem(&processes, &key.process);
	if ((!process || process->exited) && !(entry->actions & entry->interest & ~entry->reported))
		watched_drop(&key, entry);
	return 0;
}

#endif
