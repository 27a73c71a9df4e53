/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Who was asked, and whether the policy may learn from the answer. Whoever has a user namespace can
 * make a network namespace and be any address there; whoever may use raw sockets can send himself
 * what looks like anybody's answer. Other servers than resolvers only name what their own askers
 * talk to; so much less is heard of them, and what they say never fills the ring buffer.
 */
#ifndef RAQIB_NET_ASKED_H
#define RAQIB_NET_ASKED_H

#include "net/name.bpf.h"
#include "net/owner.bpf.h"
#include "net/policy.bpf.h"

#define LOOPBACK_INDEX 1

#define ASKED_INTERVAL_NS   1000000000ULL
#define ASKED_BY_ONE	    256
#define ASKED_BY_ALL	    4096
#define UNLISTED_BYTES	    4096
#define UNLISTED_RING_SHARE 4

/* A network namespace, as far as its answers are concerned. */
struct dns_place {
	__u32 net_ns; /* 0: not known */
	__u32 ours;   /* it was made by root of the host */
	__u64 sock;   /* kernel address */
};

static __noinline int place_find(struct __sk_buff *skb, struct dns_place *place)
{
	struct bpf_sock *sk = skb->sk;
	struct sock *sock;
	void *net;

	place->net_ns = 0;
	place->ours = 0;
	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	place->sock = sk ? address_of(sk) : 0;
	if (!place->sock)
		return 0;
	sock = (struct sock *)place->sock;
	net = BPF_CORE_READ(sock, __sk_common.skc_net.net);
	place->net_ns = BPF_CORE_READ((struct net *)net, ns.inum);
	place->ours = !BPF_CORE_READ((struct net___owned *)net, user_ns, level);
	return 0;
}

static __noinline bool is_listed(const struct net_packet *packet)
{
	return bpf_map_lookup_elem(&net_resolvers, &packet->remote);
}

/* In another namespace than the daemon's, nothing that comes over loopback is a resolver of the
 * host's: whoever may bind its port, or forge packets, could have sent it. The outcome lies in
 * memory that the verifier does not follow, so that what comes after is looked at once. */
static __noinline int answerer_find(struct __sk_buff *skb, const struct net_packet *packet,
				    struct dns_scratch *scratch)
{
	struct dns_place place;

	place_find(skb, &place);
	scratch->net_ns = place.net_ns;
	if (!is_listed(packet))
		scratch->answerer = NET_UNLISTED;
	else if (place.ours &&
		 (place.net_ns == net_config.net_ns || skb->ingress_ifindex != LOOPBACK_INDEX))
		scratch->answerer = NET_RESOLVER;
	else
		scratch->answerer = NET_LISTED;
	return 0;
}

static __always_inline bool asked_within(struct net_asker *asker, __u64 most)
{
	struct net_asked_lately fresh = {.since_ns = bpf_ktime_get_boot_ns()}, *lately;

	lately = bpf_map_lookup_elem(&net_askers, asker);
	if (!lately || fresh.since_ns - lately->since_ns >= ASKED_INTERVAL_NS) {
		fresh.count = 1;
		bpf_map_update_elem(&net_askers, asker, &fresh, BPF_ANY);
		return true;
	}
	return __sync_fetch_and_add(&lately->count, 1) < most;
}

/* A user cannot be another; what root of a container does is told by its cgroup. */
static __noinline bool may_ask(struct __sk_buff *skb, const struct dns_place *place)
{
	struct sock *sock = (struct sock *)place->sock;
	struct net_asker asker = {.kind = NET_ASKER_USER}, all = {.kind = NET_ASKER_ALL};

	asker.id = BPF_CORE_READ(sock, sk_uid.val);
	if (!asker.id) {
		asker.kind = NET_ASKER_CGROUP;
		asker.id = bpf_skb_cgroup_id(skb);
	}
	return asked_within(&asker, ASKED_BY_ONE) && asked_within(&all, ASKED_BY_ALL);
}

static __always_inline void question_key(struct net_question *key, const struct net_packet *packet,
					 __u32 net_ns, __u16 id)
{
	key->resolver = packet->remote;
	key->local_port = packet->local_port;
	key->id = id;
	key->net_ns = net_ns;
}

/* The oldest question of a user gives way. */
static __always_inline void question_forget(struct held *held, struct held *all, __u32 account)
{
	struct turn_key key = {.account = account, .table = NET_QUESTIONS};
	struct net_turn *turn;

	key.number = *(volatile __u64 *)&held->first;
	if (key.number >= *(volatile __u64 *)&held->next ||
	    __sync_val_compare_and_swap(&held->first, key.number, key.number + 1) != key.number)
		return;
	__sync_fetch_and_add(&all->first, 1);
	turn = bpf_map_lookup_elem(&net_question_turns, &key);
	if (!turn)
		return;
	bpf_map_delete_elem(&net_questions, turn->key);
	bpf_map_delete_elem(&net_question_turns, &key);
}

/* Let a user have one more question that waits for its answer, in the place of his oldest ones if
 * he has no less of them than he leaves free for others. */
static __noinline bool question_turn(__u32 account, const struct net_question *question)
{
	struct held *held = held_get(&net_askers_hold, account, NET_QUESTIONS);
	struct held *all = held_get(&net_askers_hold, NET_ALL_ACCOUNTS, NET_QUESTIONS);
	struct turn_key key = {.account = account, .table = NET_QUESTIONS};
	__u32 most = net_room.most[NET_QUESTIONS], i;
	static const struct net_turn fresh;
	struct net_turn *turn;

	if (!held || !all)
		return false;
	for (i = 0; i < GIVEN_UP; i++)
		if (held_now(held) >= left_of(most, held_now(all)))
			question_forget(held, all, account);
	if (held_now(all) >= most)
		return false;
	key.number = __sync_fetch_and_add(&held->next, 1);
	__sync_fetch_and_add(&all->next, 1);
	if (bpf_map_update_elem(&net_question_turns, &key, &fresh, BPF_ANY))
		return false;
	turn = bpf_map_lookup_elem(&net_question_turns, &key);
	if (turn)
		__builtin_memcpy(turn->key, question, sizeof(*question));
	return turn;
}

/* The question that was read last goes to a server that is no resolver. */
static __noinline int unlisted_asked(struct __sk_buff *skb, const struct net_packet *packet,
				     struct dns_scratch *scratch)
{
	struct net_question key = {};
	struct dns_place place;

	place_find(skb, &place);
	if (!place.net_ns || !may_ask(skb, &place)) {
		NET_COUNT(dns_unheard);
		return 0;
	}
	question_key(&key, packet, place.net_ns, message_short(scratch, 0));
	bpf_map_update_elem(&net_asked, &key, &scratch->name.whole, BPF_ANY);
	return 0;
}

/* Whether such a server's answer was asked for, by its number. Records of others than such answers
 * need most of the ring buffer. */
static __noinline bool unlisted_awaited(struct __sk_buff *skb, const struct net_packet *packet,
					__u32 at)
{
	struct net_question key = {};
	struct dns_place place;
	__be16 id = 0;

	if (bpf_skb_load_bytes(skb, at, &id, sizeof(id)))
		return false;
	place_find(skb, &place);
	question_key(&key, packet, place.net_ns, bpf_ntohs(id));
	if (!bpf_map_lookup_elem(&net_asked, &key))
		return false;
	if (bpf_ringbuf_query(&net_records, BPF_RB_AVAIL_DATA) <
	    bpf_ringbuf_query(&net_records, BPF_RB_RING_SIZE) / UNLISTED_RING_SHARE)
		return true;
	NET_COUNT(dns_unheard);
	return false;
}

/* Whether the answer is to that question; to one question there is one answer. */
static __noinline bool unlisted_answers(struct dns_scratch *scratch, const struct net_question *key)
{
	__u64 *asked = bpf_map_lookup_elem(&net_asked, key);

	return asked && *asked == scratch->name.whole && !bpf_map_delete_elem(&net_asked, key);
}

#endif
