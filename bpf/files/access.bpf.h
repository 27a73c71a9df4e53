/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The event core: a process did something to a file. Remember it, and tell the daemon if it is news
 * that some recipe may care about. Knows no syscall.
 */
#ifndef RAQIB_ACCESS_H
#define RAQIB_ACCESS_H

#include "files/record.bpf.h"

/* So many of the last components are told of a path that is too long to be told. */
#define LAST_COMPONENTS 8

/* The best effort memory behind `background.files`. */
static __always_inline struct access *access_remember(struct scratch *scratch,
						      struct process *process, __u32 actions)
{
	struct access_key key = {.process = process->key, .file = scratch->path.hash};
	struct access *known = bpf_map_lookup_elem(&accesses, &key);
	struct access fresh = {.actions = actions};
	__u32 len;

	if (known) {
		if ((known->actions & actions) != actions)
			__sync_fetch_and_or(&known->actions, actions);
		return known;
	}
	if (bpf_map_update_elem(&accesses, &key, &fresh, BPF_NOEXIST))
		return bpf_map_lookup_elem(&accesses, &key);
	COUNT(accesses);
	known = bpf_map_lookup_elem(&accesses, &key);
	if (known)
		known->next = __sync_lock_test_and_set(&process->tally.last_access, key.file);
	if (bpf_map_lookup_elem(&paths, &key.file))
		return known;
	len = scratch->path.len;
	scratch->context.len = len;
	bpf_probe_read_kernel(scratch->context.path, AT_MOST(len, CONTEXT_PATH_BYTES),
			      scratch->path.bytes);
	bpf_map_update_elem(&paths, &key.file, &scratch->context, BPF_NOEXIST);
	return known;
}

static __always_inline __u32 interest_by(__u64 hash, __u32 guess, bool whole, __u32 *flags)
{
	struct verdict *verdict;

	/* The literals' guess may be too wide, but never too narrow. */
	if (!(guess & policy.wanted))
		return 0;
	verdict = bpf_map_lookup_elem(&verdicts, &hash);
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

/* What of an access was told before anybody knew whether the name matters. */
static __always_inline __u32 access_told(const struct access *known)
{
	return known && known->generation == policy.generation ? known->told : 0;
}

static __always_inline void access_tell(struct access *known, __u32 actions)
{
	if (!known)
		return;
	if (known->generation != policy.generation) {
		known->told = 0;
		known->generation = policy.generation;
	}
	__sync_fetch_and_or(&known->told, actions);
}

/*
 * The entry of a (process, file) pair that some recipe cares about. Null if the share of the
 * process or of its user is used up. A new one knows what was done before, and is in the chain by
 * which the process's end finds it, unless it is only there to wait.
 */
static __noinline struct watched *watched_get(struct scratch *scratch, struct process *process,
					      const struct access_key *key)
{
	struct watched *entry = bpf_map_lookup_elem(&watched, key);
	struct watched *fresh = &scratch->watched;
	struct note *note = &scratch->note;
	bool waits = note->flags & (RECORD_AS_GIVEN | RECORD_WAITS);
	struct access *before;
	long code, account;

	if (entry)
		return entry;
	if (!waits && process->tally.untracked)
		return NULL;
	account = watched_take(process);
	if (account < 0)
		return NULL;
	fresh->next = 0;
	fresh->timestamp_ns = 0;
	fresh->actions = 0;
	fresh->reported = note->told;
	fresh->interest = note->interest;
	fresh->generation = policy.generation;
	fresh->flags = note->flags;
	fresh->account = account;
	name_set(&fresh->path, &scratch->path);
	fresh->used.hash = 0;
	if (note->has_used)
		name_set(&fresh->used, &scratch->used);
	fresh->inside.hash = 0;
	if (note->has_inside)
		name_set(&fresh->inside, &scratch->inside);
	before = waits ? NULL : bpf_map_lookup_elem(&accesses, key);
	if (before) {
		fresh->actions = before->actions;
		fresh->reported = access_told(before);
	}
	code = bpf_map_update_elem(&watched, key, fresh, BPF_NOEXIST);
	if (code)
		watched_give_back(&key->process, account);
	entry = bpf_map_lookup_elem(&watched, key);
	/* Another thread may have been first: in the chain twice, it would be a ring. */
	if (entry && !code && !waits)
		entry->next = __sync_lock_test_and_set(&process->tally.last_watched, key->file);
	return entry;
}

/*
 * What cannot be sent now waits for the daemon's sweep, under a key of its own, and is forgotten
 * when that has found it: a flood of names that mean nothing leaves nothing behind. False if there
 * is no room to wait either: counted.
 */
static __noinline bool access_wait(struct scratch *scratch, struct process *process)
{
	struct access_key key = {.process = process->key};
	struct note *note = &scratch->note;
	struct watched *entry;

	if (!(note->flags & RECORD_AS_GIVEN))
		note->flags |= RECORD_WAITS;
	key.file = ~scratch->path.hash ^ (note->flags & (RECORD_FOLLOW | RECORD_WAITS));
	entry = watched_get(scratch, process, &key);
	if (!entry) {
		lose(process, LOSS_WATCHED);
		return false;
	}
	entry->timestamp_ns = bpf_ktime_get_boot_ns();
	__sync_fetch_and_or(&entry->actions, note->total);
	COUNT(pending);
	return true;
}

/* The same for what has an entry, whose `reported` tells what still waits. */
static __always_inline void access_settle(const struct access_key *key, __u32 fresh, bool sent)
{
	struct watched *entry = bpf_map_lookup_elem(&watched, key);

	if (!sent)
		COUNT(pending);
	else if (entry)
		__sync_fetch_and_or(&entry->reported, fresh);
}

/* What is known of the access in the note, by the entry of the process and the file. */
static __always_inline void note_entry(struct scratch *scratch, struct watched *entry)
{
	struct note *note = &scratch->note;

	if (note->keeps_used && entry->used.hash != scratch->used.hash)
		name_set(&entry->used, &scratch->used);
	if (entry->generation != policy.generation) {
		entry->generation = policy.generation;
		entry->reported = 0;
	}
	entry->interest = note->interest;
	note->total = __sync_fetch_and_or(&entry->actions, note->actions) | note->actions;
	note->told = entry->reported;
	if (!(note->total & note->interest & ~note->told))
		return;
	entry->timestamp_ns = bpf_ktime_get_boot_ns();
	if (!note->has_used)
		bpf_probe_read_kernel(&note->used, sizeof(note->used), &entry->used);
}

enum memory {
	MEMORY_NONE, /* nobody needs to be told */
	MEMORY_GIVEN,
	MEMORY_ACCESS,
	MEMORY_ENTRY,
};

/* Complete the note: what is news, and where it will be remembered that it was told. */
static __noinline int note_complete(struct scratch *scratch, struct process *process,
				    const struct access_key *key)
{
	struct note *note = &scratch->note;
	struct access *known = access_remember(scratch, process, note->actions);
	struct watched *entry;
	__u32 used = 0;

	note->used.hash = 0;
	note->told = 0;
	note->total = note->actions;
	if (scratch->path.truncated)
		note->flags |= RECORD_PATH_TRUNCATED;
	/* A name whose links are not resolved is always news: no literal and no verdict can tell
	 * where it leads, and the next time it may lead elsewhere. */
	if (note->flags & RECORD_AS_GIVEN) {
		note->interest = -1;
		return note->actions & policy.wanted ? MEMORY_GIVEN : MEMORY_NONE;
	}
	if (known) {
		note->total |= known->actions;
		note->told = access_told(known);
	}
	note->interest = interest_of(&scratch->path, &note->flags);
	if (note->has_inside)
		note->interest |= interest_of(&scratch->inside, &note->flags);
	entry = process->tally.last_watched ? bpf_map_lookup_elem(&watched, key) : NULL;
	if (note->has_used)
		used = interest_of(&scratch->used, &note->flags) & policy.wanted;
	else if (entry && entry->used.hash)
		used = interest_by(entry->used.hash,
				   entry->generation == policy.generation ? entry->used.guess
									  : policy.wanted,
				   true, &note->flags);
	note->interest = (note->interest | used) & policy.wanted;
	/* An alias that matters is kept even if this action does not: the next one may come by a
	 * descriptor, which does not know the alias. */
	if (!(note->interest & note->actions) && !(note->has_used && used))
		return MEMORY_NONE;
	note->keeps_used = note->has_used && used;
	return !entry && note->flags & RECORD_UNDECIDED && !note->keeps_used ? MEMORY_ACCESS
									     : MEMORY_ENTRY;
}

/*
 * Take note of an access whose names are in the scratch. A bit counts as reported only once its
 * record is in the ring buffer; what does not fit stays pending in `watched`, where the daemon's
 * sweep finds it.
 *
 * Otherwise an entry there is only for what is known to matter. Of a name that nobody has judged
 * yet, and of one for which there is no room, `accesses` remembers what was told, as long as it
 * can: it may be told twice, but is never left out.
 */
static __noinline int access_note(struct scratch *scratch, struct sighting *seen)
{
	struct access_key key = {.file = scratch->path.hash};
	struct process *process = seen->process;
	struct note *note = &scratch->note;
	struct watched *entry;
	struct access *known;
	int memory;
	bool sent;

	key.process = process->key;
	note->task = (__u64)seen->task;
	note->inode = (__u64)seen->inode;
	note->actions = seen->actions;
	note->flags = seen->flags;
	note->has_used = seen->has_used;
	note->has_inside = seen->has_inside;
	memory = note_complete(scratch, process, &key);
	if (memory == MEMORY_NONE)
		return 0;
	process_settle_account(process, seen->task);
	if (memory == MEMORY_ENTRY) {
		entry = watched_get(scratch, process, &key);
		if (entry) {
			note_entry(scratch, entry);
		} else {
			COUNT(unmarked);
			memory = MEMORY_ACCESS;
		}
	}
	note->fresh = note->total & note->interest & ~note->told;
	if (!note->fresh)
		return 0;
	/* Each of these costs the daemon a look-up: a process that has used up its budget is told
	 * itself, and not all its names. */
	if (memory == MEMORY_GIVEN && !given_has_room(process, bpf_ktime_get_boot_ns()))
		return lose(process, LOSS_BUDGET);
	sent = record_send(scratch, process);
	if (memory == MEMORY_ENTRY) {
		access_settle(&key, note->fresh, sent);
		return 0;
	}
	if ((sent || access_wait(scratch, process)) && memory == MEMORY_ACCESS) {
		known = bpf_map_lookup_elem(&accesses, &key);
		access_tell(known, note->fresh);
	}
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

/* Whether a mount shows all of its file system. */
static __always_inline bool is_whole(struct vfsmount *mnt, struct dentry *dentry)
{
	return BPF_CORE_READ(mnt, mnt_root) == BPF_CORE_READ(dentry, d_sb, s_root);
}

/* The name on the host, if the last walk met something that is known there, and if it is another
 * one. `same`: the path was told from that walk, so that they can only differ above the object. */
static __noinline void sight_host(struct scratch *scratch, struct sighting *seen, bool same)
{
	if ((same && is_host_path(scratch)) || !emit_host(scratch, &scratch->inside))
		return;
	seen->has_inside = scratch->inside.hash != scratch->path.hash;
	if (seen->has_inside)
		seen->flags |= RECORD_HOST;
}

/* Find the names of an open file; false for what has none (pipes, sockets, anonymous inodes). */
static __noinline bool sight_file(struct scratch *scratch, struct sighting *seen, struct file *file)
{
	struct vfsmount *mnt = BPF_CORE_READ(file, f_path.mnt);
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	struct super_block *sb = BPF_CORE_READ(dentry, d_sb);
	unsigned long magic = BPF_CORE_READ(sb, s_magic);
	struct dentry *real;
	bool same;

	if (magic == PIPEFS_MAGIC || magic == SOCKFS_MAGIC || magic == ANON_INODE_FS_MAGIC)
		return false;
	seen->inode = BPF_CORE_READ(file, f_inode);
	walk_up(scratch, mnt, dentry, true);
	/* Where there are more directories than can be told, the nearest that is known stands for
	 * them. */
	if (!scratch->span.overflow || !emit_host(scratch, &scratch->path))
		emit_text(scratch, &scratch->path);
	if (!BPF_CORE_READ(dentry, d_hash.pprev) && BPF_CORE_READ(dentry, d_parent) != dentry)
		seen->flags |= RECORD_DELETED;
	if (scratch->path.truncated) {
		sight_end(scratch, seen);
		return true;
	}
	/* A bind mount shows a part of a file system in another place, an overlay another file. */
	real = overlay_real(dentry);
	same = !real && is_whole(mnt, dentry);
	if (!same) {
		walk_up(scratch, NULL, real ? real : dentry, false);
		if (!scratch->progress.has_object && !real) {
			emit_text(scratch, &scratch->inside);
			seen->has_inside = scratch->inside.hash != scratch->path.hash;
			return true;
		}
	}
	sight_host(scratch, seen, same);
	return true;
}

#endif
