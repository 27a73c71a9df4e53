/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The event core: a process did something to a file. Remember it, and tell the daemon if it is news
 * that some recipe may care about. Knows no syscall.
 */
#ifndef RAQIB_ACCESS_H
#define RAQIB_ACCESS_H

#include "files/record.bpf.h"

#include <linux/magic.h>

/* So many of the last components are told of a path that is too long to be told. */
#define LAST_COMPONENTS 8

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
	bpf_probe_read_kernel(scratch->context.path, AT_MOST(len, CONTEXT_PATH_BYTES),
			      scratch->path.bytes);
	bpf_map_update_elem(&paths, &key.file, &scratch->context, BPF_NOEXIST);
}

static __always_inline __u32 interest_by(__u64 hash, __u32 guess, bool whole, __u32 *flags)
{
	struct verdict *verdict = bpf_map_lookup_elem(&verdicts, &hash);

	if (verdict && verdict->generation == policy.generation && whole)
		return verdict->interest;
	*flags |= RECORD_UNDECIDED;
	return guess;
}

static __always_inline __u32 interest_of(const struct text *text, __u32 *flags)
{
	return interest_by(text->hash, text->interest, !text->truncated, flags);
}

static __always_inline void name_set(struct name *name, const struct text *text)
{
	name->hash = text->hash;
	name->len = text->len;
	name->guess = text->interest;
	keep_text(name->text, CONTEXT_PATH_BYTES, text->bytes, text->len, text->hash);
}

/*
 * The entry of a (process, file) pair that some recipe may care about. Null if the map is full:
 * counted. A new one knows what was done before, and is in the chain by which the process's end
 * finds it, unless it is only there to wait.
 */
static __always_inline struct watched *watched_get(struct scratch *scratch,
						   const struct sighting *seen,
						   const struct access_key *key, bool chained)
{
	struct watched *entry = bpf_map_lookup_elem(&watched, key);
	struct watched *fresh = &scratch->watched;
	struct access *before;
	long code;

	if (entry)
		return entry;
	fresh->next = 0;
	fresh->timestamp_ns = 0;
	fresh->actions = 0;
	fresh->reported = 0;
	fresh->interest = 0;
	fresh->generation = policy.generation;
	fresh->flags = seen->flags;
	name_set(&fresh->path, &scratch->path);
	fresh->used.hash = 0;
	if (seen->has_used)
		name_set(&fresh->used, &scratch->used);
	fresh->inside.hash = 0;
	if (seen->has_inside)
		name_set(&fresh->inside, &scratch->inside);
	before = chained ? bpf_map_lookup_elem(&accesses, key) : NULL;
	if (before)
		fresh->actions = before->actions;
	code = bpf_map_update_elem(&watched, key, fresh, BPF_NOEXIST);
	if (code && code != -EEXIST)
		COUNT(lost_watched);
	entry = bpf_map_lookup_elem(&watched, key);
	/* Another thread may have been first: in the chain twice, it would be a ring. */
	if (entry && !code && chained)
		entry->next = __sync_lock_test_and_set(&seen->process->last_watched, key->file);
	return entry;
}

/*
 * A name whose links are not resolved: no literal and no verdict can tell where it leads, and the
 * next time it may lead elsewhere. So it is always news, and needs no memory but while it waits.
 */
static __noinline int access_note_as_given(struct scratch *scratch, struct sighting *seen)
{
	struct access_key key = {.process = seen->process->key};
	struct watched *entry;

	if (!(seen->actions & policy.wanted) ||
	    record_send(scratch, seen, NULL, seen->actions, seen->actions))
		return 0;
	key.file = ~scratch->path.hash ^ (seen->flags & RECORD_FOLLOW);
	entry = watched_get(scratch, seen, &key, false);
	if (!entry)
		return 0;
	entry->interest = policy.wanted;
	entry->timestamp_ns = bpf_ktime_get_boot_ns();
	__sync_fetch_and_or(&entry->actions, seen->actions);
	COUNT(pending);
	return 0;
}

/*
 * Take note of an access whose names are in the scratch. A bit counts as reported only once its
 * record is in the ring buffer; what does not fit stays pending in `watched`, where the daemon's
 * sweep finds it.
 */
static __noinline int access_note(struct scratch *scratch, struct sighting *seen)
{
	struct access_key key = {.file = scratch->path.hash};
	struct watched *entry;
	__u32 interest, actions, fresh, used = 0;

	key.process = seen->process->key;
	access_remember(scratch, seen->process, seen->actions);
	if (scratch->path.truncated)
		seen->flags |= RECORD_PATH_TRUNCATED;
	if (seen->flags & RECORD_AS_GIVEN)
		return access_note_as_given(scratch, seen);
	interest = interest_of(&scratch->path, &seen->flags);
	if (seen->has_inside)
		interest |= interest_of(&scratch->inside, &seen->flags);
	if (seen->has_used)
		used = interest_of(&scratch->used, &seen->flags) & policy.wanted;
	else if ((entry = bpf_map_lookup_elem(&watched, &key)) && entry->used.hash)
		used = interest_by(entry->used.hash,
				   entry->generation == policy.generation ? entry->used.guess
									  : policy.wanted,
				   true, &seen->flags);
	interest = (interest | used) & policy.wanted;
	/* An alias that matters is kept even if this action does not: the next one may come by a
	 * descriptor, which does not know the alias. */
	if (!(interest & seen->actions) && !(seen->has_used && used))
		return 0;
	entry = watched_get(scratch, seen, &key, true);
	if (!entry)
		return 0;
	if (seen->has_used && used && entry->used.hash != scratch->used.hash)
		name_set(&entry->used, &scratch->used);
	if (entry->generation != policy.generation) {
		entry->generation = policy.generation;
		entry->reported = 0;
	}
	entry->interest = interest;
	actions = __sync_fetch_and_or(&entry->actions, seen->actions) | seen->actions;
	fresh = actions & interest & ~entry->reported;
	if (!fresh)
		return 0;
	entry->timestamp_ns = bpf_ktime_get_boot_ns();
	if (record_send(scratch, seen, entry, actions, fresh))
		__sync_fetch_and_or(&entry->reported, fresh);
	else
		COUNT(pending);
	return 0;
}

/* A path that is too long is told from its root on; its end is told as a further name. */
static __always_inline void sight_end(struct scratch *scratch, struct sighting *seen)
{
	struct span *span = &scratch->span;

	if (!scratch->path.truncated || span->last - span->first < LAST_COMPONENTS)
		return;
	span->first = span->last - LAST_COMPONENTS;
	emit_text(scratch, &scratch->inside);
	seen->has_inside = true;
}

/* Find the names of an open file; false for what has none (pipes, sockets, anonymous inodes). */
static __noinline bool sight_file(struct scratch *scratch, struct sighting *seen, struct file *file)
{
	struct vfsmount *mnt = BPF_CORE_READ(file, f_path.mnt);
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	struct super_block *sb = BPF_CORE_READ(dentry, d_sb);
	unsigned long magic = BPF_CORE_READ(sb, s_magic);

	if (magic == PIPEFS_MAGIC || magic == SOCKFS_MAGIC || magic == ANON_INODE_FS_MAGIC)
		return false;
	seen->inode = BPF_CORE_READ(file, f_inode);
	walk_up(scratch, mnt, dentry, true);
	emit_text(scratch, &scratch->path);
	if (!BPF_CORE_READ(dentry, d_hash.pprev) && BPF_CORE_READ(dentry, d_parent) != dentry)
		seen->flags |= RECORD_DELETED;
	/* A bind mount shows a part of a file system in another place: the place within counts too.
	 */
	if (scratch->path.truncated) {
		sight_end(scratch, seen);
	} else if (BPF_CORE_READ(mnt, mnt_root) != BPF_CORE_READ(sb, s_root)) {
		walk_up(scratch, mnt, dentry, false);
		emit_text(scratch, &scratch->inside);
		seen->has_inside = scratch->inside.hash != scratch->path.hash;
	}
	return true;
}

#endif
