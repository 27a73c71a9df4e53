/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Who may use how much of what all processes share. Whatever one has in use must leave free as much
 * again for others: a flood stops itself at a part of the whole, ever smaller the more there are,
 * and those who have nothing yet find room.
 */
#ifndef RAQIB_SHARE_H
#define RAQIB_SHARE_H

#include "files/maps.bpf.h"
#include "lib/account.bpf.h"

/* Names that are not resolved, of one process: so many at once, and one again after each such time.
 */
#define GIVEN_AT_ONCE 16384
#define GIVEN_EACH_NS (1000000000ULL / 2048)

/* The account of that number, or the one that all have in common for whom there is no room. */
static __always_inline struct account *account_get(__u32 id)
{
	struct account *account = bpf_map_lookup_elem(&accounts, &id);
	static const struct account fresh; /* the stack is short */

	if (account)
		return account;
	if (bpf_map_update_elem(&accounts, &id, &fresh, BPF_NOEXIST))
		COUNT(accounts_full);
	account = bpf_map_lookup_elem(&accounts, &id);
	if (account) {
		account->id = id;
		return account;
	}
	id = ACCOUNT_OTHERS;
	return bpf_map_lookup_elem(&accounts, &id);
}

/*
 * Find out who pays for a process. It stays whoever it was, whatever users the process becomes:
 * set-user-ID programs of one's own would make many of one. Only what began as root becomes
 * somebody.
 */
static __always_inline void process_settle_account(struct process *process,
						   struct task_struct *task)
{
	if (!process->tally.account)
		process->tally.account = account_of(task);
}

/* Something of a process could not be told. */
static __noinline int lose(struct process *process, __u32 kind)
{
	struct account *account = account_get(process->tally.account);

	__sync_fetch_and_add(&process->tally.lost, 1);
	switch (kind) {
	case LOSS_WATCHED:
		COUNT(lost_watched);
		break;
	case LOSS_NAME:
		COUNT(lost_name);
		break;
	default:
		COUNT(lost_budget);
		break;
	}
	if (!account || kind >= LOSSES)
		return 0;
	__sync_fetch_and_add(&account->lost[kind], 1);
	account->loser = process->key;
	return 0;
}

/* Let a process have an entry more in `watched`: whose account it is on, or -1 if there is no room.
 */
static __noinline long watched_take(struct process *process)
{
	struct account *account = account_get(process->tally.account);

	if (!account || process->tally.share.watched + account->share.watched >=
				left_of(policy.watched_most, counters.watched_now))
		return -1;
	__sync_fetch_and_add(&counters.watched_now, 1);
	__sync_fetch_and_add(&process->tally.share.watched, 1);
	__sync_fetch_and_add(&account->share.watched, 1);
	return account->id;
}

static __noinline int watched_give_back(const struct process_key *key, __u32 id)
{
	struct account *account = bpf_map_lookup_elem(&accounts, &id);
	struct process *process = bpf_map_lookup_elem(&processes, key);

	__sync_fetch_and_add(&counters.watched_now, -1);
	if (account)
		__sync_fetch_and_add(&account->share.watched, -1);
	if (process)
		__sync_fetch_and_add(&process->tally.share.watched, -1);
	return 0;
}

/* Remove an entry, whoever comes first. */
static __always_inline void watched_drop(const struct access_key *key, const struct watched *entry)
{
	__u32 id = entry->account;

	if (!bpf_map_delete_elem(&watched, key))
		watched_give_back(&key->process, id);
}

/* Let a process send so much, if half as much as it and its user have in the ring buffer is left
 * free. */
static __noinline bool ring_take(struct process *process, __u32 size)
{
	__u64 read = bpf_ringbuf_query(&records, BPF_RB_CONS_POS);
	__u64 written = bpf_ringbuf_query(&records, BPF_RB_PROD_POS);
	__u64 most = bpf_ringbuf_query(&records, BPF_RB_RING_SIZE);
	struct account *account = account_get(process->tally.account);

	if (!account)
		return true;
	share_renew(&process->tally.share, read, written);
	share_renew(&account->share, read, written);
	if (written - read + size + (process->tally.share.bytes + account->share.bytes) / 2 > most)
		return false;
	__sync_fetch_and_add(&process->tally.share.bytes, size);
	__sync_fetch_and_add(&account->share.bytes, size);
	__sync_fetch_and_add(&account->records, 1);
	return true;
}

/* Whether a process may have another name that the daemon has to look up. */
static __always_inline bool given_has_room(struct process *process, __u64 now)
{
	__u64 at = process->tally.given_ns;
	__u64 least = now - GIVEN_AT_ONCE * GIVEN_EACH_NS;

	if (now < GIVEN_AT_ONCE * GIVEN_EACH_NS)
		least = 0;
	if (at < least)
		at = least;
	at += GIVEN_EACH_NS;
	if (at > now)
		return false;
	process->tally.given_ns = at;
	return true;
}

#endif
