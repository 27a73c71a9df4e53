/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What a program's environment says to the dynamic loader, read before the program can change it or
 * end. */
#ifndef RAQIB_ENVIRONMENT_H
#define RAQIB_ENVIRONMENT_H

#include "files/process.bpf.h"

/* More variables than that are no program's: what is behind them is not read. */
#define ENVIRONMENT_STEPS 16384

struct environment_scan {
	struct scratch *scratch;
	__u64 at;
	__u64 end;
	bool inside; /* a variable that is longer than a step reads */
};

/* A step reads one variable, or a piece of it. The loop is bpf_loop's, all copies are bounded. */
static long environment_step(__u64 index, struct environment_scan *scan)
{
	struct environment *kept = &scan->scratch->environment;
	char *piece = scan->scratch->name;
	bool begins = !scan->inside;
	__u64 len, at;
	long got;

	if (scan->at >= scan->end)
		return 1;
	got = bpf_probe_read_user_str(piece, PATH_BYTES, (void *)scan->at);
	if (got <= 0) {
		kept->incomplete = true;
		return 1;
	}
	/* Cut or just fitting: the next step finds the rest, or the zero byte. */
	scan->inside = got == PATH_BYTES;
	scan->at += scan->inside ? got - 1 : got;
	if (!begins || piece[0] != 'L' || piece[1] != 'D' || piece[2] != '_')
		return 0;
	if (scan->inside || kept->len + got > ENVIRONMENT_BYTES) {
		kept->incomplete = true;
		return 0;
	}
	len = AT_MOST(got, ENVIRONMENT_BYTES);
	at = AT_MOST(kept->len, ENVIRONMENT_BYTES);
	bpf_probe_read_kernel(&kept->text[at], len, piece);
	kept->len = at + len;
	return 0;
}

/* Keep the variables of the program that the current process just began, if there are any. */
static __noinline void environment_keep(struct scratch *scratch, struct task_struct *task,
					struct process *process)
{
	struct environment *kept = &scratch->environment;
	struct environment_scan scan = {.scratch = scratch};

	scan.at = BPF_CORE_READ(task, mm, env_start);
	scan.end = BPF_CORE_READ(task, mm, env_end);
	kept->exec_ns = process->now.exec_ns;
	kept->len = 0;
	kept->incomplete = false;
	bpf_loop(ENVIRONMENT_STEPS, environment_step, &scan, 0);
	if (scan.at < scan.end)
		kept->incomplete = true;
	if (!kept->len && !kept->incomplete)
		return;
	process->now.flags |= IMAGE_ENVIRONMENT;
	bpf_map_update_elem(&environments, &process->key, kept, BPF_ANY);
}

#endif
