/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A program starts: its own file, its loader, and the script if it is one. */
#ifndef RAQIB_EXEC_H
#define RAQIB_EXEC_H

#include "files/names.bpf.h"
#include "files/environment.bpf.h"

#define LOADER_ACTIONS (ACTION_OPEN | ACTION_READ | ACTION_MMAP | ACTION_CLOSE)
#define EXEC_ACTIONS   (LOADER_ACTIONS | ACTION_EXECVE)

struct find_base {
	unsigned long auxv;
	unsigned long base;
};

static long find_base_step(__u64 index, struct find_base *find)
{
	unsigned long pair[2] = {};

	bpf_probe_read_kernel(pair, sizeof(pair), (void *)(find->auxv + index * sizeof(pair)));
	if (pair[0] == AT_BASE)
		find->base = pair[1];
	return pair[0] == AT_BASE || pair[0] == AT_NULL;
}

struct loader {
	struct file *file;
};

static long loader_found(struct task_struct *task, struct vm_area_struct *vma,
			 struct loader *loader)
{
	loader->file = vma->vm_file;
	return 0;
}

/* The file mapped where AT_BASE points; null for a static program. */
static __always_inline struct file *loader_of(struct task_struct *task)
{
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct find_base find = {.auxv = (unsigned long)mm +
					 bpf_core_field_offset(struct mm_struct, saved_auxv)};
	struct loader loader = {};

	bpf_loop(AUXV_PAIRS, find_base_step, &find, 0);
	if (find.base)
		bpf_find_vma(task, find.base, loader_found, &loader, 0);
	return loader.file;
}

#define DEV_FD	      "/dev/fd/"
#define DEV_FD_BYTES  8
#define FD_MOST_DIGIT 7

struct exec_name {
	int dir;
	int len;
};

/*
 * A program's name as the kernel has it, now in scratch->name. For execveat(2) the kernel writes
 * /dev/fd/N or /dev/fd/N/NAME: then the descriptor and the name, which may be empty.
 */
static __always_inline struct exec_name exec_name(struct scratch *scratch, const char *address)
{
	struct exec_name found = {.dir = AT_FDCWD};
	char start[DEV_FD_BYTES + FD_MOST_DIGIT + 1] = {};
	int digits = 0, fd = 0, i;
	__u64 head, dev_fd;

	bpf_probe_read_kernel_str(start, sizeof(start), address);
	__builtin_memcpy(&head, start, DEV_FD_BYTES);
	__builtin_memcpy(&dev_fd, DEV_FD, DEV_FD_BYTES);
	if (head == dev_fd) {
		for (i = 0; i < FD_MOST_DIGIT; i++) {
			char one = start[DEV_FD_BYTES + i];

			if (one < '0' || one > '9')
				break;
			fd = fd * 10 + one - '0';
			digits++;
		}
		if (digits &&
		    (start[DEV_FD_BYTES + digits] == '/' || !start[DEV_FD_BYTES + digits])) {
			found.dir = fd;
			address += DEV_FD_BYTES + digits;
			if (start[DEV_FD_BYTES + digits])
				address++;
		}
	}
	found.len = bpf_probe_read_kernel_str(scratch->name, PATH_BYTES, address) - 1;
	return found;
}

/* One after the other in the same memory: the stack is short. */
static __always_inline void sighting_renew(struct sighting *seen, __u32 actions)
{
	seen->inode = NULL;
	seen->actions = actions;
	seen->flags = 0;
	seen->has_used = false;
	seen->has_inside = false;
}

static __always_inline void see_exec(struct scratch *scratch, struct task_struct *task,
				     struct process *process, struct linux_binprm *bprm)
{
	struct sighting seen = {.task = task, .process = process};
	struct file *file = BPF_CORE_READ(task, mm, exe_file);
	struct exec_name name;

	process->before = process->now;
	image_clear(&process->now);
	process->now.exec_ns = bpf_ktime_get_boot_ns();
	process_read_ids(process, task);
	image_read_args(&process->now, scratch, args_span_of(task));
	if (policy.environments)
		environment_keep(scratch, task, process);
	if (!file)
		return;
	walk_up(scratch, BPF_CORE_READ(file, f_path.mnt), BPF_CORE_READ(file, f_path.dentry), true);
	emit_text(scratch, &scratch->path);
	image_set_exe(&process->now, &scratch->path);

	/* The loader first, since its path is part of what is told of the program. */
	file = loader_of(task);
	sighting_renew(&seen, LOADER_ACTIONS);
	if (file && sight_file(scratch, &seen, file)) {
		__u64 loader_len = AT_MOST(scratch->path.len, LOADER_BYTES);

		process->now.loader_len = loader_len;
		bpf_probe_read_kernel(process->now.loader, loader_len, scratch->path.bytes);
		access_note(scratch, &seen);
	}

	sighting_renew(&seen, EXEC_ACTIONS);
	if (sight_file(scratch, &seen, BPF_CORE_READ(task, mm, exe_file))) {
		name = exec_name(scratch, BPF_CORE_READ(bprm, interp));
		if (name.len > 0)
			sight_used(scratch, &seen, name.dir, name.len);
		access_note(scratch, &seen);
	}

	/* The kernel has let go of the script's own file. */
	if (BPF_CORE_READ(bprm, filename) == BPF_CORE_READ(bprm, interp))
		return;
	sighting_renew(&seen, EXEC_ACTIONS);
	name = exec_name(scratch, BPF_CORE_READ(bprm, filename));
	if (name.len > 0) {
		sight_name(scratch, &seen, name.dir, name.len, true);
		access_note(scratch, &seen);
	} else if (name.dir >= 0) {
		file = file_of_fd(task, name.dir);
		if (file && sight_file(scratch, &seen, file))
			access_note(scratch, &seen);
	}
}

/* A process that was there before: whatever a hook has found out of it meanwhile is newer and
 * stays. */
static __always_inline void see_existing(struct scratch *scratch, struct task_struct *task)
{
	struct process_key key = process_key_of(task);
	struct process *process = &scratch->process;
	struct args_span args = args_span_of(task);

	process_read(process, scratch, task, key);
	if (bpf_copy_from_user_task(scratch->args, args.len, (void *)args.start, task, 0))
		args.len = 0;
	image_set_args(&process->now, scratch, args.len, args.cut);
	process_insert(process, BPF_NOEXIST);

	/* The iterator of some kernels (seen on 6.18) leaves out the very first task: take it in as
	 * a parent. */
	task = BPF_CORE_READ(task, real_parent, group_leader);
	key = process_key_of(task);
	if (key.pid && !bpf_map_lookup_elem(&processes, &key)) {
		process_read(process, scratch, task, key);
		process_insert(process, BPF_NOEXIST);
	}
}

#endif
