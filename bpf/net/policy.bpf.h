/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* May this packet pass? Runtime blocks, then the longest prefix, and between equals deny. */
#ifndef RAQIB_NET_POLICY_H
#define RAQIB_NET_POLICY_H

#include "net/maps.bpf.h"
#include "net/owner.bpf.h"
#include "lib/siphash.bpf.h"

#define PROTO_IGMP 2

/* What IPv6 cannot do without: multicast listeners, routers, neighbours. */
#define ICMPV6_LISTENER_FIRST  130
#define ICMPV6_NEIGHBOUR_LAST  137
#define ICMPV6_LISTENER_REPORT 143

/* So many blocks that have ended may lie within one that has not. */
#define ENDED_BLOCKS 8

struct decision {
	__u64 end_ns; /* not to be trusted after; 0: does not end */
	__u64 rule;
	__u8 verdict;
	__u8 act;
	__u8 source;
};

static __always_inline const struct net_policy *policy_active(void)
{
	return net_config.active & 1 ? &net_config.policies[1] : &net_config.policies[0];
}

static __always_inline __u64 policy_generation(void)
{
	return *(volatile __u64 *)&net_switch.generation + *(volatile __u64 *)&net_learnings;
}

static __always_inline bool has_domains(void)
{
	const struct net_policy *policy = policy_active();

	return policy->depths || policy->resolve_default == NET_DENY || net_switch.domain_blocks;
}

/* A longer block that has ended must not hide a shorter one that has not. */
static __always_inline bool find_block(const struct net_address *address, __u64 now,
				       struct decision *decision)
{
	struct net_prefix6 key = {.length = 128, .address = *address};
	struct net_block *block;
	int i;

	for (i = 0; i < ENDED_BLOCKS; i++) {
		block = bpf_map_lookup_elem(&net_blocks, &key);
		if (!block)
			return false;
		if (!block->end_ns || block->end_ns > now) {
			decision->end_ns = block->end_ns;
			decision->rule = block->id;
			decision->verdict = NET_DENY;
			decision->act = NET_ALERT | NET_ENFORCE;
			decision->source = NET_BY_BLOCK;
			return true;
		}
		if (!block->length)
			return false;
		key.length = block->length - 1;
	}
	return false;
}

static __always_inline bool is_guarded(const struct net_address *address)
{
	struct net_prefix6 key = {.length = 128, .address = *address};

	return bpf_map_lookup_elem(&net_guarded, &key) != NULL;
}

static __always_inline struct net_rule *find_rule(const struct net_address *address, __u32 *bits)
{
	__u32 slot = net_config.active & 1;
	struct net_prefix4 key4 = {.length = 32};
	struct net_prefix6 key6;
	void *rules;

	if (is_mapped(address)) {
		*bits = 32;
		rules = bpf_map_lookup_elem(&net_rules4, &slot);
		if (!rules)
			return 0;
		key4.address = ((const __u32 *)address->bytes)[3];
		return bpf_map_lookup_elem(rules, &key4);
	}
	*bits = 128;
	rules = bpf_map_lookup_elem(&net_rules6, &slot);
	if (!rules)
		return 0;
	key6.length = 128;
	key6.address = *address;
	return bpf_map_lookup_elem(rules, &key6);
}

/* Between what was learned and a rule for just this address, deny is stronger. */
static __noinline int decide(const struct net_address *address, struct decision *decision)
{
	const struct net_policy *policy = policy_active();
	__u64 now = bpf_ktime_get_boot_ns();
	struct net_address copy = *address;
	struct net_learned *learned;
	struct net_rule *rule;
	bool guarded = is_guarded(&copy);
	__u32 bits;

	decision->end_ns = 0;
	if (!guarded && find_block(&copy, now, decision))
		return 0;
	decision->act = policy->cidr_mode;
	decision->verdict = policy->cidr_default;
	decision->source = NET_BY_DEFAULT;
	decision->rule = 0;
	rule = find_rule(&copy, &bits);
	if (rule) {
		decision->verdict = rule->verdict;
		decision->source = NET_BY_RULE;
		decision->rule = rule->id;
	}
	learned = bpf_map_lookup_elem(&net_learned, &copy);
	if (!learned)
		return 0;
	if (learned->deny_until > now && !guarded) {
		/* The name's own block holds whatever the policy's mode is. */
		decision->verdict = NET_DENY;
		decision->source = learned->deny_source;
		decision->rule = learned->deny_rule;
		decision->end_ns = learned->deny_until;
		if (learned->deny_source == NET_BY_DOMAIN_BLOCK)
			decision->act = NET_ALERT | NET_ENFORCE;
	} else if (learned->allow_until > now &&
		   !(rule && rule->length == bits && rule->verdict == NET_DENY)) {
		decision->verdict = NET_ALLOW;
		decision->source = NET_BY_DOMAIN;
		decision->rule = learned->allow_rule;
		decision->end_ns = learned->allow_until;
	}
	return 0;
}

static __always_inline void describe(struct net_drop *drop, const struct net_packet *packet,
				     const struct decision *decision)
{
	drop->rule = decision->rule;
	drop->source = decision->source;
	drop->act = decision->act;
	drop->cookie = packet->cookie;
	drop->local = packet->local;
	drop->remote = packet->remote;
	drop->local_port = packet->local_port;
	drop->remote_port = packet->remote_port;
	drop->version = packet->version;
	drop->protocol = packet->protocol;
	drop->direction = packet->direction;
	drop->icmp_type = packet->icmp_type;
	drop->icmp_code = packet->icmp_code;
	drop->tcp_flags = packet->tcp_flags;
	drop->epoch = policy_active()->epoch;
}

/* So many drops of something new are told at once in an interval; of the others the daemon reads in
 * the map. Else whoever goes on to another address each time would fill the ring buffer. */
#define NEW_DROPS 256

__u64 new_drops_since, new_drops;

static __always_inline bool may_report(__u64 now)
{
	if (now - new_drops_since >= net_config.drop_interval_ns) {
		new_drops_since = now;
		new_drops = 0;
	}
	return __sync_fetch_and_add(&new_drops, 1) < NEW_DROPS;
}

/* How many times it has happened since it was last reported, if it is to be reported now; else 0,
 * and the daemon finds the rest in the map. */
static __noinline __u64 count_drop(const struct net_drop_key *what, const struct net_packet *packet)
{
	struct net_drop_key key = *what;
	struct net_drop_count fresh = {}, *known;
	__u64 now = bpf_ktime_get_boot_ns();

	known = bpf_map_lookup_elem(&net_drops, &key);
	if (!known) {
		fresh.unreported = !may_report(now);
		fresh.reported_ns = now;
		fresh.local = packet->local;
		fresh.local_port = packet->local_port;
		fresh.remote_port = packet->remote_port;
		fresh.version = packet->version;
		fresh.protocol = packet->protocol;
		fresh.direction = packet->direction;
		fresh.icmp_type = packet->icmp_type;
		fresh.icmp_code = packet->icmp_code;
		fresh.epoch = policy_active()->epoch;
		bpf_map_update_elem(&net_drops, &key, &fresh, BPF_ANY);
		return !fresh.unreported;
	}
	__sync_fetch_and_add(&known->unreported, 1);
	if (now - known->reported_ns < net_config.drop_interval_ns)
		return 0;
	known->reported_ns = now;
	return __sync_lock_test_and_set(&known->unreported, 0);
}

static __noinline int report_drop(struct __sk_buff *skb, const struct net_packet *packet,
				  const struct decision *decision)
{
	struct net_drop drop = {};
	struct net_drop_key key = {.rule = decision->rule,
				   .remote = packet->remote,
				   .source = decision->source,
				   .act = decision->act};

	owner_find(skb, packet, &drop.head.process);
	key.process = drop.head.process;
	drop.count = count_drop(&key, packet);
	if (!drop.count)
		return 0;
	describe(&drop, packet, decision);
	if (!net_record_send(&drop.head, NET_RECORD_DROP_IP, sizeof(drop)))
		net_lose(account_of_packet(packet, 0), &key.process);
	return 0;
}

static __always_inline bool is_indispensable(const struct net_packet *packet)
{
	if (packet->version == 4)
		return packet->protocol == PROTO_IGMP;
	return packet->protocol == IPPROTO_ICMPV6 && packet->transport &&
	       ((packet->icmp_type >= ICMPV6_LISTENER_FIRST &&
		 packet->icmp_type <= ICMPV6_NEIGHBOUR_LAST) ||
		packet->icmp_type == ICMPV6_LISTENER_REPORT);
}

/* Nobody who does not know the key can make two of them equal. */
static __always_inline __u64 tag_of(const struct net_address *address, __u64 generation)
{
	const __u64 *words = (const void *)address->bytes;
	__u64 tag = (words[0] ^ net_config.siphash_key[0]) * (net_config.siphash_key[1] | 1);

	tag = ROTL(tag ^ generation, 29) ^ words[1];
	tag *= net_config.siphash_key[0] | 1;
	return (tag ^ tag >> 32) | 1;
}

static __always_inline struct net_mark *mark_of(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	if (!sk)
		return 0;
	return bpf_sk_storage_get(&net_marks, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
}

/* A connection that was opened to an allowed name outlives the time to live of its address, but no
 * block and no other policy. */
static __always_inline bool is_still_named(struct net_mark *mark, const struct net_packet *packet,
					   const struct decision *decision)
{
	__u64 tag;

	if (packet->protocol != IPPROTO_TCP)
		return false;
	tag = tag_of(&packet->remote, policy_active()->epoch);
	if (decision->verdict == NET_ALLOW && decision->source == NET_BY_DOMAIN)
		mark->named = tag;
	return mark->named == tag && decision->source <= NET_BY_RULE;
}

static __always_inline bool is_dying(const struct net_packet *packet, const struct net_mark *mark)
{
	__u64 cookie = packet->cookie;

	return (mark && mark->dying) || bpf_map_lookup_elem(&net_dying, &cookie);
}

/* True if the packet is to be dropped. That a socket's packets to an address are allowed holds
 * until something changes. */
static __noinline int judge(struct __sk_buff *skb, const struct net_packet *packet,
			    struct net_mark *mark, __u64 tag)
{
	struct decision decision = {};

	decide(&packet->remote, &decision);
	if (mark && is_still_named(mark, packet, &decision))
		decision.verdict = NET_ALLOW;
	if (decision.verdict != NET_DENY) {
		/* A connection to a name outlives the time of its address, see is_still_named. */
		if (mark && (!decision.end_ns || packet->protocol == IPPROTO_TCP))
			mark->allowed = tag;
		return false;
	}
	if (packet->direction == NET_EGRESS && packet->tcp_flags & TCP_RST &&
	    is_dying(packet, mark))
		return false;
	if (decision.act & NET_ALERT)
		report_drop(skb, packet, &decision);
	if (!(decision.act & NET_ENFORCE))
		return false;
	NET_COUNT(dropped);
	return true;
}

static __always_inline bool policy_verdict(struct __sk_buff *skb, const struct net_packet *packet)
{
	struct net_mark *mark;
	__u64 tag;

	if (net_switch.off || is_indispensable(packet))
		return false;
	tag = tag_of(&packet->remote, policy_generation());
	mark = mark_of(skb);
	if (mark && mark->allowed == tag)
		return false;
	return judge(skb, packet, mark, tag);
}

#endif
