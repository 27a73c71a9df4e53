/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* From a syscall's registers, by way of its row in the table, to the event core. */
#ifndef RAQIB_SYSCALLS_H
#define RAQIB_SYSCALLS_H

#include "files/names.bpf.h"

#include <linux/fcntl.h>
#include <linux/stat.h>

/* include/linux/fs.h, include/linux/err.h */
#define FMODE_CREATED	 (1 << 20)
#define MAX_ERRNO	 4095
#define CLOSE_RANGE_MOST 4096

/* include/linux/socket.h, include/uapi/linux/un.h */
#define AF_UNIX	 1
#define SUN_PATH 2 /* where the name begins in an address */

struct call {
	struct pt_regs *regs;
	bool compat;
};

static __always_inline __u32 syscall_number(struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return regs->orig_ax;
#else
	return regs->syscallno;
#endif
}

static __always_inline bool is_compat(struct task_struct *task)
{
#if defined(__TARGET_ARCH_x86)
	return task->thread_info.status & 0x2; /* TS_COMPAT */
#else
	return task->thread_info.flags & (1 << 22); /* TIF_32BIT */
#endif
}

static __always_inline __u64 call_arg(const struct call *call, int index)
{
	struct pt_regs *regs = call->regs;

#if defined(__TARGET_ARCH_x86)
	if (call->compat) {
		__u64 value;

		switch (index) {
		case 0:
			value = regs->bx;
			break;
		case 1:
			value = regs->cx;
			break;
		case 2:
			value = regs->dx;
			break;
		case 3:
			value = regs->si;
			break;
		case 4:
			value = regs->di;
			break;
		default:
			value = regs->bp;
			break;
		}
		return (__u32)value;
	}
	switch (index) {
	case 0:
		return regs->di;
	case 1:
		return regs->si;
	case 2:
		return regs->dx;
	case 3:
		return regs->r10;
	case 4:
		return regs->r8;
	default:
		return regs->r9;
	}
#else
	/* The result has replaced the first argument; the kernel keeps that apart. */
	switch (index) {
	case 0:
		return regs->orig_x0;
	case 1:
		return regs->regs[1];
	case 2:
		return regs->regs[2];
	case 3:
		return regs->regs[3];
	case 4:
		return regs->regs[4];
	default:
		return regs->regs[5];
	}
#endif
}

static __always_inline struct syscall_row *syscall_row(struct call *call, __u64 number)
{
	struct syscall_row *row;

	if (number >= SYSCALLS)
		return NULL;
	CLAMP(number, SYSCALLS - 1);
	row = &syscalls.rows[call->compat ? 1 : 0][number];
	return row->kind == SYSCALL_NONE ? NULL : row;
}

/* Not every negative result is an error: addresses and offsets have that bit too. */
static __always_inline bool is_error(const struct call *call, long ret)
{
	if (call->compat)
		ret = (int)ret;
	return ret < 0 && ret >= -MAX_ERRNO;
}

/* An argument of a call as its row counts them. */
static __always_inline __u64 row_arg(const struct syscall_row *row, const struct call *call,
				     int index)
{
	__u32 value = 0;

	if (!(row->flags & SYSCALL_ARGS_INDIRECT))
		return call_arg(call, index);
	bpf_probe_read_user(&value, sizeof(value),
			    (void *)(call_arg(call, row->call_flags) + 4 * index));
	return value;
}

static __always_inline bool row_applies(const struct syscall_row *row, const struct call *call)
{
	if (row->equal >= 0 && (__u32)call_arg(call, row->equal) != row->equal_value)
		return false;
	if (row->any >= 0 && !((__u32)call_arg(call, row->any) & row->any_bits))
		return false;
	if (row->none >= 0 && ((__u32)row_arg(row, call, row->none) & row->no_bits))
		return false;
	return true;
}

static __always_inline void see_open(struct scratch *scratch, struct task_struct *task,
				     struct process *process, const struct syscall_row *row,
				     const struct call *call, long fd)
{
	struct sighting seen = {.task = task, .process = process, .actions = row->actions};
	struct file *file = file_of_fd(task, fd);
	__u32 mode, flags = 0;
	int len;

	if (!file)
		return;
	mode = BPF_CORE_READ(file, f_mode);
	if (mode & FMODE_PATH)
		return;
	if (!sight_file(scratch, &seen, file))
		return;
	if (row->flags & SYSCALL_TRUNCATES) {
		flags = O_TRUNC;
	} else if (row->call_flags >= 0) {
		__u64 value = call_arg(call, row->call_flags);

		flags = value;
		if (row->flags & SYSCALL_FLAGS_INDIRECT)
			bpf_probe_read_user(&flags, sizeof(flags), (void *)value);
	}
	if (mode & FMODE_CREATED)
		seen.actions |= ACTION_CREATE;
	else if ((flags & O_TRUNC) && (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) == S_IFREG)
		seen.actions |= ACTION_TRUNCATE;
	if (row->name >= 0) {
		len = name_read(scratch, (void *)call_arg(call, row->name));
		/* The file itself is known. */
		if (len < 0)
			COUNT(used_unread);
		else
			sight_used(scratch, &seen,
				   row->dir >= 0 ? (int)call_arg(call, row->dir) : AT_FDCWD, len);
	}
	access_note(scratch, &seen);
}

static __always_inline bool row_follows(const struct syscall_row *row, const struct call *call)
{
	if (row->flags & SYSCALL_FOLLOW_IF_ASKED)
		return call_arg(call, row->call_flags) & AT_SYMLINK_FOLLOW;
	return row->flags & SYSCALL_FOLLOW;
}

/* The name of a socket that somebody makes in the file system: what has none is no file. */
static __always_inline int socket_name_read(struct scratch *scratch, __u64 address, __u32 len)
{
	__u16 family = 0;
	int read;

	if (len <= SUN_PATH || bpf_probe_read_user(&family, sizeof(family), (void *)address) ||
	    family != AF_UNIX)
		return 0;
	read = name_read(scratch, (void *)(address + SUN_PATH));
	/* It need not end with a zero byte. */
	return read > (int)(len - SUN_PATH) ? (int)(len - SUN_PATH) : read;
}

static __always_inline void see_socket(struct scratch *scratch, struct task_struct *task,
				       struct process *process, __u64 address, __u32 len,
				       __u32 actions)
{
	struct sighting seen = {.task = task, .process = process, .actions = actions};
	int read = socket_name_read(scratch, address, len);

	if (read < 0)
		lose(process, LOSS_NAME);
	if (read <= 0)
		return;
	sight_name(scratch, &seen, AT_FDCWD, read, false);
	access_note(scratch, &seen);
}

static __always_inline void see_name(struct scratch *scratch, struct task_struct *task,
				     struct process *process, __u64 address, int dir, __u32 actions,
				     bool follow)
{
	struct sighting seen = {.task = task, .process = process, .actions = actions};
	int len = name_read(scratch, (void *)address);

	if (len < 0) {
		lose(process, LOSS_NAME);
		return;
	}
	if (len == 0) {
		/* AT_EMPTY_PATH: the descriptor itself is meant. */
		see_fd(scratch, task, process, dir, actions);
		return;
	}
	sight_name(scratch, &seen, dir, len, follow);
	access_note(scratch, &seen);
}

#endif
