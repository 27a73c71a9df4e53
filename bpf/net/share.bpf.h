/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Who may have how much of the tables that forget. A user may hold as much of one as he leaves free
 * for others; beyond that, his newest entry takes the place of his oldest. Of those, what is in use
 * and what belongs to processes that hold less than the one that wants room is passed over.
 */
#ifndef RAQIB_NET_SHARE_H
#define RAQIB_NET_SHARE_H

#include "lib/account.bpf.h"
#include "net/kernel.h"
#include "net/maps.bpf.h"

#define NET_ALL_ACCOUNTS (ACCOUNT_OTHERS - 1)

/* So many entries are passed over at most before one goes; and so many go for a new one, so that
 * who has more than there is left by now comes down to it. */
#define PASSED_OVER 16
#define USED_PASSED 4 /* of them, what is only in use */
#define GIVEN_UP    2

static __always_inline struct net_account *net_account_get(__u32 id)
{
	struct net_account *account = bpf_map_lookup_elem(&net_accounts, &id);
	static const struct net_account fresh;

	if (account)
		return account;
	bpf_map_update_elem(&net_accounts, &id, &fresh, BPF_NOEXIST);
	account = bpf_map_lookup_elem(&net_accounts, &id);
	if (account) {
		account->id = id;
		return account;
	}
	id = ACCOUNT_OTHERS;
	return bpf_map_lookup_elem(&net_accounts, &id);
}

static __always_inline struct net_load *load_get(const struct process_key *process)
{
	struct net_load *load = bpf_map_lookup_elem(&net_loads, process);
	static const struct net_load fresh;

	if (load)
		return load;
	bpf_map_update_elem(&net_loads, process, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&net_loads, process);
}

/* Something of a process could not be told. */
static __noinline int net_lose(__u32 id, const struct process_key *process)
{
	struct net_account *account = net_account_get(id);

	if (!account)
		return 0;
	__sync_fetch_and_add(&account->lost, 1);
	account->loser = *process;
	return 0;
}

/* Who pays for the current process, in the context of which something is done. */
static __noinline __u32 current_account(void)
{
	__u32 id = account_of(bpf_get_current_task_btf());

	net_account_get(id);
	return id;
}

/* Who pays for a socket of which nobody knows the process: whoever made its network namespace, or
 * the user whose it is. Users of other user namespaces have done nothing by themselves: they have
 * no account of their own. */
static __noinline __u32 account_of_sock(__u64 address)
{
	struct sock *sk = (struct sock *)address;
	struct net___owned *net;
	struct user_namespace *ns;
	__u32 id;

	if (!address)
		return ACCOUNT_OTHERS;
	net = (struct net___owned *)BPF_CORE_READ(sk, __sk_common.skc_net.net);
	ns = BPF_CORE_READ(net, user_ns);
	if (ns && BPF_CORE_READ(ns, level))
		return outermost_owner(ns);
	id = BPF_CORE_READ(sk, sk_uid.val);
	return !id || bpf_map_lookup_elem(&net_accounts, &id) ? id : ACCOUNT_OTHERS;
}

static __always_inline struct held *held_get(void *holders, __u32 account, __u32 table)
{
	struct net_holder key = {.account = account, .table = table};
	struct held *held = bpf_map_lookup_elem(holders, &key);
	static const struct held fresh;

	if (held)
		return held;
	bpf_map_update_elem(holders, &key, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(holders, &key);
}

static __always_inline __u64 held_now(const struct held *held)
{
	return *(volatile const __u64 *)&held->next - *(volatile const __u64 *)&held->first;
}

/* Whether it was used meanwhile; then it has to be used again. */
static __noinline bool turn_is_used(__u32 table, struct net_turn *turn)
{
	struct net_socket *socket;
	struct flow *flow;

	if (table == NET_SOCKETS) {
		socket = bpf_map_lookup_elem(&net_sockets, turn->key);
		return socket && __sync_lock_test_and_set(&socket->again, 0);
	}
	if (table != NET_FLOWS)
		return false;
	flow = bpf_map_lookup_elem(&flows, turn->key);
	if (!flow || flow->id != turn->id || !flow->again)
		return false;
	flow->again = 0;
	return true;
}

/* Remove the entry, unless another has come in its place. */
static __noinline int turn_remove(__u32 table, struct net_turn *turn)
{
	struct net_load *load = bpf_map_lookup_elem(&net_loads, &turn->process);
	struct flow *flow;

	switch (table) {
	case NET_SOCKETS:
		bpf_map_delete_elem(&net_sockets, turn->key);
		break;
	case NET_FLOWS:
		flow = bpf_map_lookup_elem(&flows, turn->key);
		if (flow && flow->id == turn->id)
			bpf_map_delete_elem(&flows, turn->key);
		break;
	case NET_LINKS:
		bpf_map_delete_elem(&flow_links, turn->key);
		break;
	case NET_HEADS:
		bpf_map_delete_elem(&flow_heads, turn->key);
		break;
	}
	if (load && table < NET_TABLES)
		__sync_fetch_and_add(&load->held[table], -1);
	return 0;
}

struct making_room {
	struct held *held;
	struct held *all;
	__u32 account;
	__u32 table;
	__s32 load; /* what a process has to hold for one of its entries to go */
	__u32 gone;
};

static __always_inline bool turn_is_passed_over(const struct making_room *room,
						struct net_turn *turn, __u64 index)
{
	struct net_load *load = bpf_map_lookup_elem(&net_loads, &turn->process);
	__u32 table = room->table;

	if (index < USED_PASSED && turn_is_used(table, turn))
		return true;
	if (table >= NET_TABLES)
		return false;
	return (load ? load->held[table] : 0) < room->load;
}

static long room_step(__u64 index, struct making_room *room)
{
	struct turn_key key = {.account = room->account, .table = room->table};
	struct held *held = room->held;
	struct net_turn *turn;
	__u64 last;

	key.number = *(volatile __u64 *)&held->first;
	if (key.number >= *(volatile __u64 *)&held->next)
		return 1;
	if (__sync_val_compare_and_swap(&held->first, key.number, key.number + 1) != key.number)
		return 0; /* somebody else took it */
	turn = bpf_map_lookup_elem(&net_turns, &key);
	if (turn && index < PASSED_OVER && turn_is_passed_over(room, turn, index)) {
		struct turn_key back = {.account = room->account, .table = room->table};

		back.number = __sync_fetch_and_add(&held->next, 1);
		last = bpf_map_update_elem(&net_turns, &back, turn, BPF_ANY);
		if (!last) {
			bpf_map_delete_elem(&net_turns, &key);
			return 0;
		}
		__sync_fetch_and_add(&room->all->next, 1);
	}
	if (turn) {
		turn_remove(room->table, turn);
		bpf_map_delete_elem(&net_turns, &key);
	}
	__sync_fetch_and_add(&room->all->first, 1);
	return ++room->gone >= GIVEN_UP;
}

/* Have a turn for a new entry, and make room for it. False if there is none at all. */
static __noinline bool turn_take(__u64 account_and_table, const struct process_key *process,
				 __u64 id, const void *entry)
{
	struct making_room room = {.table = account_and_table & 7};
	struct turn_key key = {};
	static const struct net_turn fresh;
	struct net_load *load = load_get(process);
	__u32 table = account_and_table & 7, most;
	struct net_turn *turn;
	__u64 left;

	if (table >= NET_TABLES)
		return false;
	room.account = account_and_table >> 32;
	room.held = held_get(&net_holders, room.account, table);
	room.all = held_get(&net_holders, NET_ALL_ACCOUNTS, table);
	if (!room.held || !room.all)
		return false;
	most = net_room.most[table];
	left = left_of(most, held_now(room.all));
	/* Who has ended, or has only begun, is no measure: so is a quarter of all that the user
	 * holds. */
	room.load = held_now(room.held) / 4;
	if (load && load->held[table] > room.load)
		room.load = load->held[table];
	if (held_now(room.held) >= left)
		bpf_loop(held_now(room.held) < 2 * left ? PASSED_OVER : PASSED_OVER + GIVEN_UP,
			 room_step, &room, 0);
	if (held_now(room.all) >= most)
		return false;
	key.account = room.account;
	key.table = table;
	key.number = __sync_fetch_and_add(&room.held->next, 1);
	__sync_fetch_and_add(&room.all->next, 1);
	if (bpf_map_update_elem(&net_turns, &key, &fresh, BPF_ANY))
		return false;
	turn = bpf_map_lookup_elem(&net_turns, &key);
	if (!turn)
		return false;
	turn->process = *process;
	turn->id = id;
	if (table == NET_SOCKETS)
		__builtin_memcpy(turn->key, entry, sizeof(__u64));
	else if (table == NET_FLOWS)
		__builtin_memcpy(turn->key, entry, sizeof(struct flow_key));
	else if (table == NET_LINKS)
		__builtin_memcpy(turn->key, entry, sizeof(struct flow_link_key));
	else
		__builtin_memcpy(turn->key, entry, sizeof(struct process_key));
	if (load)
		__sync_fetch_and_add(&load->held[table], 1);
	return true;
}

static __always_inline bool turn_of(__u32 account, enum net_table table,
				    const struct process_key *process, __u64 id, const void *entry)
{
	return turn_take((__u64)account << 32 | table, process, id, entry);
}

/* Let a process send so much, if half as much as it and its user have in the ring buffer is left
 * free. */
static __noinline bool net_ring_take(__u32 id, const struct process_key *process, __u32 size)
{
	__u64 read = bpf_ringbuf_query(&net_records, BPF_RB_CONS_POS);
	__u64 written = bpf_ringbuf_query(&net_records, BPF_RB_PROD_POS);
	__u64 most = bpf_ringbuf_query(&net_records, BPF_RB_RING_SIZE);
	struct net_account *account = net_account_get(id);
	struct net_load *load = load_get(process);

	if (!account || !load)
		return true;
	share_renew(&load->share, read, written);
	share_renew(&account->share, read, written);
	if (written - read + size + (load->share.bytes + account->share.bytes) / 2 > most)
		return false;
	__sync_fetch_and_add(&load->share.bytes, size);
	__sync_fetch_and_add(&account->share.bytes, size);
	return true;
}

#endif
