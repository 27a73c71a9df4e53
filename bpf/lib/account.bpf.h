/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Who pays: a user, for itself and for all users of the user namespaces that it made. */
#ifndef RAQIB_ACCOUNT_H
#define RAQIB_ACCOUNT_H

#include "layout/core.h"
#include "lib/kernel.h"

/* Linux nests user namespaces no deeper. */
#define USER_NS_MOST 33

struct climb {
	struct user_namespace *ns;
};

static long climb_step(__u64 index, struct climb *climb)
{
	struct user_namespace *ns = climb->ns;
	struct user_namespace *parent = BPF_CORE_READ(ns, parent);

	if (!parent || BPF_CORE_READ(parent, level) == 0)
		return 1;
	climb->ns = parent;
	return 0;
}

/* Whoever made the outermost of nested user namespaces. */
static __noinline __u32 outermost_owner(struct user_namespace *ns)
{
	struct climb climb = {.ns = ns};

	bpf_loop(USER_NS_MOST, climb_step, &climb, 0);
	ns = climb.ns;
	return BPF_CORE_READ(ns, owner.val);
}

/* Who pays for a task: its user, or whoever made the outermost of its user namespaces, for all
 * users within. */
static __noinline __u32 account_of(struct task_struct *task)
{
	struct user_namespace *ns = BPF_CORE_READ(task, cred, user_ns);

	if (!ns || BPF_CORE_READ(ns, level) == 0)
		return BPF_CORE_READ(task, cred, uid.val);
	return outermost_owner(ns);
}

static __always_inline __u32 left_of(__u32 most, __u32 used)
{
	return most > used ? most - used : 0;
}

/* What was sent before the mark has been read: from now on counts what comes behind it. */
static __always_inline void share_renew(struct share *share, __u64 read, __u64 written)
{
	if (read < share->mark)
		return;
	share->mark = written;
	share->bytes = 0;
}

#endif
