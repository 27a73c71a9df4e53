/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The name that a program gave a syscall: read, made absolute, compared with what was reached. */
#ifndef RAQIB_NAMES_H
#define RAQIB_NAMES_H

#include "files/access.bpf.h"

#include <linux/fcntl.h>

/* include/linux/fs.h */
#define FMODE_PATH (1 << 14)

static __always_inline struct file *file_of_fd(struct task_struct *task, __u32 fd)
{
	struct fdtable *fdt = BPF_CORE_READ(task, files, fdt);
	struct file *file = NULL;

	if (!fdt || fd >= BPF_CORE_READ(fdt, max_fds))
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), BPF_CORE_READ(fdt, fd) + fd);
	return file;
}

/* Read the name at a user address into scratch->name; its length without the zero byte, or
 * negative: its memory may have been taken away since the kernel read it. */
static __always_inline int name_read(struct scratch *scratch, const char *address)
{
	return bpf_probe_read_user_str(scratch->name, PATH_BYTES, address) - 1;
}

/* The parts of the directory that the name in scratch->name starts from. */
static __always_inline void name_base(struct scratch *scratch, struct task_struct *task, int dir)
{
	struct fs_struct *fs = BPF_CORE_READ(task, fs);
	struct vfsmount *mnt;
	struct dentry *dentry;

	if (scratch->name[0] == '/') {
		mnt = BPF_CORE_READ(fs, root.mnt);
		dentry = BPF_CORE_READ(fs, root.dentry);
	} else if (dir == AT_FDCWD) {
		mnt = BPF_CORE_READ(fs, pwd.mnt);
		dentry = BPF_CORE_READ(fs, pwd.dentry);
	} else {
		struct file *file = file_of_fd(task, dir);

		mnt = BPF_CORE_READ(file, f_path.mnt);
		dentry = BPF_CORE_READ(file, f_path.dentry);
	}
	walk_up(scratch, mnt, dentry, true);
}

struct compare {
	const char *a;
	const char *b;
	__u32 len;
	bool differ;
};

static long compare_step(__u64 index, struct compare *compare)
{
	__u32 at = (index & (PATH_BYTES / 8 - 1)) * 8;
	__u32 left = compare->len - at;
	__u64 a, b;

	__builtin_memcpy(&a, compare->a + at, 8);
	__builtin_memcpy(&b, compare->b + at, 8);
	a ^= b;
	if (left < 8)
		a &= (1ULL << ((left & 7) * 8)) - 1;
	compare->differ = a != 0;
	return compare->differ;
}

static __always_inline bool same_text(const char *a, const char *b, __u32 len)
{
	struct compare compare = {.a = a, .b = b, .len = len};

	bpf_loop((len + 7) / 8, compare_step, &compare, 0);
	return !compare.differ;
}

/* After the names as reached are known: is the name as used (in scratch->name) another one? */
static __always_inline void sight_used(struct scratch *scratch, struct sighting *seen, int dir,
				       __u32 len)
{

	if (len == 0)
		return;
	/* The common case, an absolute name without links, at the cost of a comparison. */
	if (scratch->name[0] == '/' && len == scratch->path.len &&
	    same_text(scratch->name, scratch->path.bytes, len))
		return;
	name_base(scratch, seen->task, dir);
	split_name(scratch, len, false);
	emit_text(scratch, &scratch->used);
	seen->has_used = scratch->used.hash != scratch->path.hash;
}

struct find {
	const char *bytes;
	bool slash;
};

static long find_slash_step(__u64 index, struct find *find)
{
	find->slash = find->bytes[index & (PATH_BYTES - 1)] == '/';
	return find->slash;
}

/*
 * A call that takes a name and leaves no descriptor: what the name says, made absolute. A single
 * component below a known directory is exact, anything else may pass through links, which the
 * daemon resolves.
 */
static __always_inline void sight_name(struct scratch *scratch, struct sighting *seen, int dir,
				       __u32 len, bool follow)
{
	struct find find = {.bytes = scratch->name};
	char first = scratch->name[0];

	bpf_loop(len & (PATH_BYTES - 1), find_slash_step, &find, 0);
	if (find.slash || follow || (first == '.' && len <= 2))
		seen->flags |= RECORD_AS_GIVEN;
	if (follow)
		seen->flags |= RECORD_FOLLOW;
	name_base(scratch, seen->task, dir);
	split_name(scratch, len, seen->flags & RECORD_AS_GIVEN);
	emit_text(scratch, &scratch->path);
	sight_end(scratch, seen);
}

static __always_inline void see_fd(struct scratch *scratch, struct task_struct *task,
				   struct process *process, __u32 fd, __u32 actions)
{
	struct sighting seen = {.task = task, .process = process, .actions = actions};
	struct file *file = file_of_fd(task, fd);

	/* A descriptor of a location only: it was no open, so it is no close. */
	if (!file || (actions == ACTION_CLOSE && BPF_CORE_READ(file, f_mode) & FMODE_PATH))
		return;
	if (sight_file(scratch, &seen, file))
		access_note(scratch, &seen);
}

#endif
