/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the daemon is told of one access. */
#ifndef RAQIB_RECORD_H
#define RAQIB_RECORD_H

#include "files/process.bpf.h"

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

static __always_inline __u16 append_text(struct append *append, const char *bytes, __u64 len)
{
	__u64 at = append->at;

	len = AT_MOST(len, PATH_BYTES);
	at = AT_MOST(at, RECORD_TEXT_BYTES - PATH_BYTES);
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

static __always_inline __u16 append_name(struct append *append, const struct name *name)
{
	return name->len > CONTEXT_PATH_BYTES ? append_long(append, name->hash, name->len)
					      : append_text(append, name->text, name->len);
}

/*
 * Send what the note in the scratch says; false if there was no room in the ring buffer. A
 * descriptor does not know by which name it was opened: `used` of the note does, if anybody.
 */
static __noinline bool record_send(struct scratch *scratch, struct process *process)
{
	struct record *record = &scratch->record;
	struct append append = {.record = record};
	struct process *shot = &record->process;
	struct note *note = &scratch->note;
	struct task_struct *task = (void *)note->task;
	__u32 size;

	record->flags = note->flags;
	record->timestamp_ns = bpf_ktime_get_boot_ns();
	record->path_hash = scratch->path.hash;
	record->used_hash = note->has_used ? scratch->used.hash : note->used.hash;
	record->inside_hash = note->has_inside ? scratch->inside.hash : 0;
	record->actions = note->total;
	record->fresh = note->fresh;
	record->generation = policy.generation;
	record->inode = 0;
	record->file_size = 0;
	record->mtime_ns = 0;
	record->device = 0;
	record->mode = 0;
	record->uid = 0;
	record->gid = 0;
	record->zero = 0;
	if (note->inode)
		record_inode(record, (void *)note->inode);
	bpf_probe_read_kernel(shot, sizeof(*shot), process);
	process_read_ids(shot, task);
	record->lost = process->tally.lost;
	record->path_len = append_text(&append, scratch->path.bytes, scratch->path.len);
	record->used_len = 0;
	if (note->has_used)
		record->used_len = append_text(&append, scratch->used.bytes, scratch->used.len);
	else if (note->used.hash)
		record->used_len = append_name(&append, &note->used);
	record->inside_len =
		note->has_inside ? append_text(&append, scratch->inside.bytes, scratch->inside.len)
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
	if (!ring_take(process, size) || bpf_ringbuf_output(&records, record, size, 0))
		return false;
	COUNT(records);
	if (process->tally.untracked)
		COUNT(untracked);
	return true;
}

#endif
