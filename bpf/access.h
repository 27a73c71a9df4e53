/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The event core: a process did something to a file. Remember it, and tell the daemon if it is news
 * that some recipe may care about. Knows no syscall.
 */
#ifndef RAQIB_ACCESS_H
#define RAQIB_ACCESS_H

#include "process.h"

#define S_IFMT		    0170000
#define S_IFREG		    0100000
#define PIPEFS_MAGIC	    0x50495045
#define SOCKFS_MAGIC	    0x534f434b
#define ANON_INODE_FS_MAGIC 0x09041934

/* What a hook found out of one access; the names lie in the scratch. */
struct sighting {
	struct task_struct *task;
	struct process *process;
	struct inode *inode; /* null if only a name is known */
	__u32 actions;
	__u32 flags;
	bool has_used;
	bool has_inside;
};

struct append {
	struct record *record;
	__u32 at;
};

static __always_inline __u16 append_text(struct append *append, const char *bytes, __u32 len)
{
	__u32 at = append->at;

	if (at > RECORD_TEXT_BYTES - PATH_BYTES - 1 || len > PATH_BYTES)
		return 0;
	bpf_probe_read_kernel(&append->record->text[at], len, bytes);
	append->at = at + len;
	return len;
}

static __always_inline __u16 append_long(struct append *append, __u64 hash, __u32 len)
{
	struct long_text *slot = bpf_map_lookup_elem(&texts, &hash);

	return slot ? append_text(append, slot->text, len) : 0;
}

static __always_inline void record_inode(struct record *record, struct inode *inode)
{
	struct inode___split *split = (void *)inode;
	struct inode___renamed *renamed = (void *)inode;
	struct inode___plain *plain = (void *)inode;

	record->inode = BPF_CORE_READ(inode, i_ino);
	record->device = BPF_CORE_READ(inode, i_sb, s_dev);
	record->mode = BPF_CORE_READ(inode, i_mode);
	record->uid = BPF_CORE_READ(inode, i_uid.val);
	record->gid = BPF_CORE_READ(inode, i_gid.val);
	record->file_size = BPF_CORE_READ(inode, i_size);
	if (bpf_core_field_exists(split->i_mtime_sec))
		record->mtime_ns = BPF_CORE_READ(split, i_mtime_sec) * 1000000000ULL +
				   BPF_CORE_READ(split, i_mtime_nsec);
	else if (bpf_core_field_exists(renamed->__i_mtime))
		record->mtime_ns = BPF_CORE_READ(renamed, __i_mtime.tv_sec) * 1000000000ULL +
				   BPF_CORE_READ(renamed, __i_mtime.tv_nsec);
	else
		record->mtime_ns = BPF_CORE_READ(plain, i_mtime.tv_sec) * 1000000000ULL +
				   BPF_CORE_READ(plain, i_mtime.tv_nsec);
}

/* Send one record; false if the ring buffer was full. */
static __noinline bool record_send(struct scratch *scratch, const struct sighting *seen,
				   __u32 actions, __u32 fresh)
{
	struct process *process = seen->process;
	struct record *record = &scratch->record;
	struct append append = {.record = record};
	struct process *shot = &record->process;
	__u32 size;

	record->flags = seen->flags;
	record->timestamp_ns = bpf_ktime_get_boot_ns();
	record->path_hash = scratch->path.hash;
	record->used_hash = seen->has_used ? scratch->used.hash : 0;
	record->inside_hash = seen->has_inside ? scratch->inside.hash : 0;
	record->actions = actions;
	record->fresh = fresh;
	record->generation = policy.generation;
	record->inode = 0;
	record->file_size = 0;
	record->mtime_ns = 0;
	record->device = 0;
	record->mode = 0;
	record->uid = 0;
	record->gid = 0;
	record->zero = 0;
	if (seen->inode)
		record_inode(record, seen->inode);
	bpf_probe_read_kernel(shot, sizeof(*shot), process);
	process_read_ids(shot, seen->task);
	record->lost = lost_total() - process->lost_before;
	record->path_len = append_text(&append, scratch->path.bytes, scratch->path.len);
	record->used_len =
		seen->has_used ? append_text(&append, scratch->used.bytes, scratch->used.len) : 0;
	record->inside_len =
		seen->has_inside ? append_text(&append, scratch->inside.bytes, scratch->inside.len)
				 : 0;
	record->exe_len = shot->now.exe_len > EXE_BYTES
				  ? append_long(&append, shot->now.exe_hash, shot->now.exe_len)
				  : 0;
	record->args_len = shot->now.args_len > ARGS_BYTES
				   ? append_long(&append, shot->now.args_hash, shot->now.args_len)
				   : 0;
	size = sizeof(*record) - RECORD_TEXT_BYTES + append.at;
	if (size > sizeof(*record))
		return false;
	record->size = size;
	if (bpf_ringbuf_output(&records, record, size, 0))
		return false;
	COUNT(records);
	return true;
}

/* The best effort memory behind `background.files`. */
static __always_inline void access_remember(struct scratch *scratch, struct process *process,
					    __u32 actions)
{
	struct access_key key = {.process = process->key, .file = scratch->path.hash};
	struct access *known = bpf_map_lookup_elem(&accesses, &key);
	struct access fresh = {.actions = actions};
	__u32 len;

	if (known) {
		if ((known->actions & actions) != actions)
			__sync_fetch_and_or(&known->actions, actions);
		return;
	}
	if (bpf_map_update_elem(&accesses, &key, &fresh, BPF_NOEXIST))
		return;
	COUNT(accesses);
	known = bpf_map_lookup_elem(&accesses, &key);
	if (known)
		known->next = __sync_lock_test_and_set(&process->last_access, key.file);
	if (bpf_map_lookup_elem(&paths, &key.file))
		return;
	len = scratch->path.len;
	scratch->context.len = len;
	bpf_probe_read_kernel(scratch->context.path,
			      len < CONTEXT_PATH_BYTES ? len : CONTEXT_PATH_BYTES,
			      scratch->path.bytes);
	bpf_map_update_elem(&paths, &key.file, &scratch->context, BPF_NOEXIST);
}

static __always_inline __u32 interest_of(const struct text *text, __u32 *flags)
{
	struct verdict *verdict = bpf_map_lookup_elem(&verdicts, &text->hash);

	if (verdict && verdict->generation == policy.generation && !text->truncated)
		return verdict->interest;
	*flags |= RECORD_UNDECIDED;
	return text->interest;
}

/* The entry of a (process, file) pair that some recipe may care about. Null if the map is full:
 * counted. */
static __always_inline struct watched *watched_get(struct scratch *scratch,
						   const struct sighting *seen,
						   struct process *process,
						   const struct access_key *key)
{
	struct watched *entry = bpf_map_lookup_elem(&watched, key);
	struct access *before;
	struct watched *fresh = &scratch->watched;

	if (entry)
		return entry;
	fresh->actions = 0;
	before = bpf_map_lookup_elem(&accesses, key);
	if (before)
		fresh->actions = before->actions;
	fresh->next = 0;
	fresh->timestamp_ns = 0;
	fresh->reported = 0;
	fresh->interest = 0;
	fresh->generation = policy.generation;
	fresh->alias = seen->has_used ? scratch->used.hash : 0;
	fresh->flags = seen->flags;
	fresh->path_len = scratch->path.len;
	keep_text(fresh->path, CONTEXT_PATH_BYTES, scratch->path.bytes, scratch->path.len,
		  key->file);
	if (bpf_map_update_elem(&watched, key, fresh, BPF_NOEXIST) == -E2BIG)
		COUNT(lost_watched);
	entry = bpf_map_lookup_elem(&watched, key);
	if (entry)
		entry->next = __sync_lock_test_and_set(&process->last_watched, key->file);
	return entry;
}

/*
 * Take note of an access whose names are in the scratch. A bit counts as reported only once its
 * record is in the ring buffer; what does not fit stays pending in `watched`, where the daemon's
 * sweep finds it.
 */
static __noinline int access_note(struct scratch *scratch, struct sighting *seen)
{
	struct process *process = seen->process;
	struct access_key key = {.file = scratch->path.hash};
	struct watched *entry;
	__u32 interest, actions, fresh;

	key.process = process->key;
	access_remember(scratch, process, seen->actions);
	if (scratch->path.truncated)
		seen->flags |= RECORD_PATH_TRUNCATED;
	if (seen->flags & RECORD_AS_GIVEN) {
		/* Where it leads is not known here, so no literal and no verdict can tell. */
		interest = policy.wanted;
	} else {
		interest = interest_of(&scratch->path, &seen->flags);
		if (seen->has_used)
			interest |= interest_of(&scratch->used, &seen->flags);
		if (seen->has_inside)
			interest |= interest_of(&scratch->inside, &seen->flags);
		interest &= policy.wanted;
	}
	if (!(interest & seen->actions))
		return 0;
	entry = watched_get(scratch, seen, process, &key);
	if (!entry)
		return 0;
	if (entry->generation != policy.generation) {
		entry->generation = policy.generation;
		entry->reported = 0;
	}
	entry->interest = interest;
	actions = __sync_fetch_and_or(&entry->actions, seen->actions) | seen->actions;
	/* The same name may lead elsewhere the next time: what is as given is always news. */
	if (seen->flags & RECORD_AS_GIVEN)
		__sync_fetch_and_and(&entry->reported, ~seen->actions);
	fresh = actions & interest & ~entry->reported;
	if (!fresh)
		return 0;
	entry->timestamp_ns = bpf_ktime_get_boot_ns();
	if (record_send(scratch, seen, actions, fresh))
		__sync_fetch_and_or(&entry->reported, fresh);
	else
		COUNT(pending);
	return 0;
}

/* Find the names of an open file; false for what has none (pipes, sockets, anonymous inodes). */
static __noinline bool sight_file(struct scratch *scratch, struct sighting *seen, struct file *file)
{
	struct vfsmount *mnt = BPF_CORE_READ(file, f_path.mnt);
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	struct super_block *sb = BPF_CORE_READ(dentry, d_sb);
	unsigned long magic = BPF_CORE_READ(sb, s_magic);
	struct span span;

	if (magic == PIPEFS_MAGIC || magic == SOCKFS_MAGIC || magic == ANON_INODE_FS_MAGIC)
		return false;
	seen->inode = BPF_CORE_READ(file, f_inode);
	span = walk_up(scratch, mnt, dentry, true);
	emit_text(scratch, &scratch->path, &span);
	if (!BPF_CORE_READ(dentry, d_hash.pprev) && BPF_CORE_READ(dentry, d_parent) != dentry)
		seen->flags |= RECORD_DELETED;
	/* A bind mount shows a part of a file system in another place: the place within counts too.
	 */
	if (BPF_CORE_READ(mnt, mnt_root) != BPF_CORE_READ(sb, s_root)) {
		span = walk_up(scratch, mnt, dentry, false);
		emit_text(scratch, &scratch->inside, &span);
		seen->has_inside = scratch->inside.hash != scratch->path.hash;
	}
	return true;
}

#endif
