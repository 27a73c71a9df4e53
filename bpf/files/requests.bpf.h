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

static __always_inline bool key_of_fd(struct object_key *key, int fd)
{
	struct file *file = file_of_fd(bpf_get_current_task_btf(), fd);

	if (!file)
		return false;
	*key = object_key_of(BPF_CORE_READ(file, f_inode));
	return true;
}

/* The daemon shows a file or directory, and says what the host calls it. */
SEC("syscall")
int learn_object(struct learn_request *request)
{
	struct scratch *scratch = scratch_get_sleepable();
	struct object_key key = {
		.inode = request->key.inode,
		.device = request->key.device,
		.generation = request->key.generation,
	};
	struct object *object;
	struct text *path;
	__u32 bit;

	if (!scratch || (request->fd >= 0 && !key_of_fd(&key, request->fd)))
		return -EBADF;
	request->key.inode = key.inode;
	request->key.device = key.device;
	request->key.generation = key.generation;
	if (!request->path_len)
		return 0;
	if (!path_from_user(scratch, request->path, request->path_len))
		return -EINVAL;
	path = &scratch->path;
	if (path->len > OBJECT_BYTES || path->truncated)
		return -ENAMETOOLONG;
	object = &scratch->object;
	object->hash = path->hash;
	object->dir_hash = path->dir_hash;
	object->base_hash = path->base_hash;
	object->state[0] = scratch->progress.whole.v0;
	object->state[1] = scratch->progress.whole.v1;
	object->state[2] = scratch->progress.whole.v2;
	object->state[3] = scratch->progress.whole.v3;
	object->components = path->components;
	object->len = path->components ? path->len : 0;
	object->above = path->above;
	object->generation = policy.generation;
	bpf_probe_read_kernel(object->text, OBJECT_BYTES, path->bytes);
	if (bpf_map_update_elem(&objects, &key, object, BPF_ANY))
		return -ENOSPC;
	bit = key.inode & (FILTER_BITS - 1);
	__sync_fetch_and_or(&object_filter.words[bit / 64], 1ULL << (bit & 63));
	return 0;
}

/* The daemon asks what the host calls what it has opened; the answer is in the map `located`. */
SEC("syscall")
int locate(struct locate_request *request)
{
	struct scratch *scratch = scratch_get_sleepable();
	struct file *file = file_of_fd(bpf_get_current_task_btf(), request->fd);
	struct dentry *real, *dentry;
	struct long_text *answer;
	__u32 zero = 0;

	answer = bpf_map_lookup_elem(&located, &zero);
	if (!scratch || !file || !answer)
		return -EBADF;
	dentry = BPF_CORE_READ(file, f_path.dentry);
	real = overlay_real(dentry);
	walk_up(scratch, NULL, real ? real : dentry, false);
	answer->len = 0;
	if (!emit_host(scratch, &scratch->inside) || scratch->inside.truncated)
		return 0;
	answer->len = scratch->inside.len;
	bpf_probe_read_kernel(answer->text, AT_MOST(scratch->inside.len, PATH_BYTES),
			      scratch->inside.bytes);
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
