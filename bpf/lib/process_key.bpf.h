/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The identity of a process: one way to make it, in every object. */
#ifndef RAQIB_PROCESS_KEY_H
#define RAQIB_PROCESS_KEY_H

#include "layout/core.h"

static __always_inline struct process_key process_key_of(struct task_struct *task)
{
	struct process_key key = {
		.start_ns = BPF_CORE_READ(task, group_leader, start_boottime),
		.pid = BPF_CORE_READ(task, tgid),
	};

	return key;
}

#endif
