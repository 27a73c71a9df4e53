/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The name that a program gave a syscall: read, made absolute, compared with what was reached. */
#ifndef RAQIB_NAMES_H
#define RAQIB_NAMES_H

#include "files/access.bpf.h"

#include <linux/fcntl.h>

/* include/linux/fs.h */
#define FMODE_PATH (1 << 14)

/* So many steps are gone for the dots at the beginning of a name, those over mounts included. */
#define DOTS_MOST 8192

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

struct dots {
	struct scratch *scratch;
	struct task_struct *task;
	__u32 len;
};

/*
 * Go one step up from where the name starts now: from the root of a mount to its mount point, which
 * is false since that is no directory above yet, or to the directory above.
 */
static __always_inline bool climb_up(struct progress *progress, struct task_struct *task)
{
	struct vfsmount *mnt = (void *)progress->base_mnt;
	struct dentry *dentry = (void *)progress->base_dentry;
	struct mount *mount = (void *)mnt - bpf_core_field_offset(struct mount, mnt);
	struct mount *above;

	if (dentry == BPF_CORE_READ(task, fs, root.dentry) &&
	    mnt == BPF_CORE_READ(task, fs, root.mnt))
		return true;
	if (dentry != BPF_CORE_READ(mnt, mnt_root)) {
		progress->base_dentry = (__u64)BPF_CORE_READ(dentry, d_parent);
		return true;
	}
	above = BPF_CORE_READ(mount, mnt_parent);
	if (!above || above == mount)
		return true;
	progress->base_dentry = (__u64)BPF_CORE_READ(mount, mnt_mountpoint);
	progress->base_mnt = (__u64)above + bpf_core_field_offset(struct mount, mnt);
	return false;
}

static long dots_step(__u64 index, struct dots *dots)
{
	struct progress *progress = &dots->scratch->progress;
	char *name = &dots->scratch->name[progress->dots & (PATH_BYTES - 1)];

	if (progress->dots >= dots->len)
		return 1;
	if (name[0] == '/') {
		progress->dots++;
	} else if (name[0] == '.' && name[1] == '/') {
		progress->dots += 2;
	} else if (name[0] == '.' && name[1] == '.' && name[2] == '/') {
		if (!climb_up(progress, dots->task))
			return 0;
		/* What has been climbed is a step that leads nowhere, for whoever reads on. */
		name[1] = '/';
		progress->dots += 3;
	} else {
		return 1;
	}
	return 0;
}

/* The parts of the directory that the name in scratch->name starts from. */
static __noinline int name_base(struct scratch *scratch, struct task_struct *task, int dir,
				__u32 len)
{
	struct dots dots = {.scratch = scratch, .task = task, .len = len};
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
	scratch->progress.base_mnt = (__u64)mnt;
	scratch->progress.base_dentry = (__u64)dentry;
	scratch->progress.dots = 0;
	if (scratch->name[0] != '/')
		bpf_loop(DOTS_MOST, dots_step, &dots, 0);
	walk_up(scratch, (void *)scratch->progress.base_mnt, (void *)scratch->progress.base_dentry,
		true);
	return 0;
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
	name_base(scratch, seen->task, dir, len);
	split_name(scratch, len, false);
	emit_text(scratch, &scratch->used);
	seen->has_used = scratch->used.hash != scratch->path.hash;
}

struct find {
	const char *bytes;
	__u32 from;
	bool slash;
};

static long find_slash_step(__u64 index, struct find *find)
{
	find->slash = find->bytes[(find->from + index) & (PATH_BYTES - 1)] == '/';
	return find->slash;
}

/* What the host calls what the name in scratch->name, `len` bytes, says. */
static __always_inline void sight_host_name(struct scratch *scratch, struct sighting *seen,
					    __u32 len)
{
	struct dentry *dentry = (void *)scratch->progress.base_dentry;
	struct vfsmount *mnt = (void *)scratch->progress.base_mnt;
	struct dentry *real;
	bool same;

	if (seen->has_inside)
		return;
	real = overlay_real(dentry);
	same = !real && is_whole(mnt, dentry);
	if (!same) {
		walk_up(scratch, NULL, real ? real : dentry, false);
		split_name(scratch, len, seen->flags & RECORD_AS_GIVEN);
	}
	sight_host(scratch, seen, same);
}

/*
 * A call that takes a name and leaves no descriptor: what the name says, made absolute. A single
 * component below a known directory is exact, anything else may pass through links, which the
 * daemon resolves.
 */
static __noinline int sight_name(struct scratch *scratch, struct sighting *seen, int dir, __u32 len,
				 bool follow)
{
	struct find find = {.bytes = scratch->name};
	const char *rest;

	name_base(scratch, seen->task, dir, len);
	find.from = scratch->progress.dots;
	rest = &scratch->name[find.from & (PATH_BYTES - 1)];
	bpf_loop((len - find.from) & (PATH_BYTES - 1), find_slash_step, &find, 0);
	if (find.slash || follow || (rest[0] == '.' && len - find.from <= 2))
		seen->flags |= RECORD_AS_GIVEN;
	if (follow)
		seen->flags |= RECORD_FOLLOW;
	split_name(scratch, len, seen->flags & RECORD_AS_GIVEN);
	emit_text(scratch, &scratch->path);
	sight_end(scratch, seen);
	sight_host_name(scratch, seen, len);
	return 0;
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
