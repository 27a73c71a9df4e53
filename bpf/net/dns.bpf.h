/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Questions on the way out, before they leave; answers on the way in, before they are delivered. */
#ifndef RAQIB_NET_DNS_H
#define RAQIB_NET_DNS_H

#include "net/answer.bpf.h"
#include "net/asked.bpf.h"

#define DNS_PORT     53
#define DNS_RESPONSE 0x8000

enum dns_verdict {
	DNS_PASS = 0,
	DNS_DROP = 1,
	/* Not to be understood: what then happens depends on who asks. */
	DNS_MALFORMED = 2,
};

/*
 * Hooks are not alone on their processor: what sends may be interrupted by what receives, or
 * preempted by another that sends.
 */
static __always_inline struct dns_scratch *scratch_claim(__u32 direction)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct dns_scratch *scratch;
	__u32 slot;
	int i;

	for (i = 0; i < DNS_SCRATCH_TRIES; i++) {
		slot = (cpu + i) * 2 + direction;
		if (i && slot >= net_config.dns_scratches)
			slot -= net_config.dns_scratches;
		scratch = bpf_map_lookup_elem(&dns_scratches, &slot);
		if (scratch && !__sync_lock_test_and_set(&scratch->busy, 1))
			return scratch;
	}
	NET_COUNT(lost_scratch);
	return 0;
}

static __always_inline void scratch_release(struct dns_scratch *scratch)
{
	__sync_lock_test_and_set(&scratch->busy, 0);
}

/* Whether a name may be kept from being resolved at all. */
static __always_inline bool is_resolution_enforced(void)
{
	const struct net_policy *policy = policy_active();

	return net_switch.domain_blocks ||
	       (policy->resolve_mode & NET_ENFORCE &&
		(policy->depths || policy->resolve_default == NET_DENY));
}

static __noinline bool message_load(struct __sk_buff *skb, struct dns_scratch *scratch, __u32 at,
				    __u32 length)
{
	__u64 size = length;

	if (length < DNS_HEADER_BYTES || length >= DNS_MESSAGE_BYTES)
		return false;
	CLAMP(size, DNS_MESSAGE_BYTES - 1);
	size = AT_LEAST(size, DNS_HEADER_BYTES);
	if (bpf_skb_load_bytes(skb, at, scratch->message, size))
		return false;
	scratch->length = size;
	return true;
}

static __noinline int report_domain(struct __sk_buff *skb, const struct net_packet *packet,
				    struct dns_scratch *scratch)
{
	struct name_walk *name = &scratch->name;
	struct net_drop_domain *record = &scratch->drop;
	struct decision decision = {.rule = name->rule, .source = name->source, .act = name->act};
	struct net_drop_key key = {
		.rule = name->rule, .source = name->source, .question = 1, .act = name->act};
	__u64 *words = (void *)key.remote.bytes;

	__builtin_memset(&record->drop, 0, sizeof(record->drop));
	owner_find(skb, packet, &record->drop.head.process);
	key.process = record->drop.head.process;
	words[0] = name->whole;
	record->drop.count = count_drop(&key, packet);
	if (!record->drop.count)
		return 0;
	describe(&record->drop, packet, &decision);
	record->name_length = name->length;
	record->zero = 0;
	__builtin_memcpy(record->name, name->text, DOMAIN_BYTES);
	if (!net_record_send(&record->drop.head, NET_RECORD_DROP_DOMAIN, sizeof(*record)))
		net_lose(account_of_packet(packet, 0), &key.process);
	return 0;
}

/* The answer to what this socket asks over TCP must be read: what comes in pieces is not let in. */
static __always_inline void socket_asked(struct __sk_buff *skb, const struct net_packet *packet)
{
	struct net_mark *mark;

	if (packet->protocol != IPPROTO_TCP)
		return;
	mark = mark_of(skb);
	if (mark)
		mark->asked = 1;
}

static __noinline int question_verdict(struct __sk_buff *skb, const struct net_packet *packet,
				       struct dns_scratch *scratch, __u32 at)
{
	struct net_question key = {};
	struct dns_place place;
	__u64 now;

	if (!message_load(skb, scratch, at, packet->length - at) ||
	    message_short(scratch, 2) & DNS_RESPONSE || message_short(scratch, 4) != 1 ||
	    !name_read(scratch, DNS_HEADER_BYTES))
		return DNS_MALFORMED;
	if (scratch->name.verdict == NET_DENY) {
		socket_asked(skb, packet);
		if (scratch->name.act & NET_ALERT)
			report_domain(skb, packet, scratch);
		if (scratch->name.act & NET_ENFORCE) {
			NET_COUNT(dropped);
			return DNS_DROP;
		}
	}
	if (!is_listed(packet)) {
		if (net_config.dns_records)
			unlisted_asked(skb, packet, scratch);
	} else if (packet->protocol == IPPROTO_UDP) {
		now = bpf_ktime_get_boot_ns();
		place_find(skb, &place);
		question_key(&key, packet, place.net_ns, message_short(scratch, 0));
		key.name = scratch->name.whole;
		if (bpf_map_lookup_elem(&net_questions, &key) ||
		    question_turn(account_of_packet(packet, place.sock), &key))
			bpf_map_update_elem(&net_questions, &key, &now, BPF_ANY);
	}
	return DNS_PASS;
}

/* Where the message begins, or 0 if there is none that is whole; a segment without data has none
 * either, which `empty` tells. */
static __always_inline __u32 message_start(struct __sk_buff *skb, const struct net_packet *packet,
					   bool *empty)
{
	__u32 length = packet->length - packet->payload;
	__be16 prefix = 0;

	*empty = !length;
	/* Several datagrams may come as one. */
	if (packet->protocol == IPPROTO_UDP)
		return packet->fragment || skb->gso_size ? 0 : packet->payload;
	if (length < 2 + DNS_HEADER_BYTES ||
	    bpf_skb_load_bytes(skb, packet->payload, &prefix, sizeof(prefix)) ||
	    bpf_ntohs(prefix) + 2 != length) {
		if (length)
			NET_COUNT(dns_partial);
		return 0;
	}
	return packet->payload + 2;
}

static __always_inline bool is_dns(const struct net_packet *packet)
{
	return packet->remote_port == DNS_PORT && packet->transport && !net_switch.off;
}

static __noinline int dns_question(struct __sk_buff *skb, const struct net_packet *packet)
{
	struct dns_scratch *scratch;
	int verdict = DNS_MALFORMED;
	bool empty;
	__u32 at;

	at = message_start(skb, packet, &empty);
	if (empty && packet->protocol == IPPROTO_TCP)
		return false;
	scratch = at ? scratch_claim(NET_EGRESS) : 0;
	if (scratch) {
		verdict = question_verdict(skb, packet, scratch, at);
		scratch_release(scratch);
	}
	if (verdict != DNS_MALFORMED)
		return verdict;
	NET_COUNT(dns_malformed);
	socket_asked(skb, packet);
	return is_resolution_enforced();
}

static __always_inline bool dns_egress(struct __sk_buff *skb, const struct net_packet *packet)
{
	return is_dns(packet) && dns_question(skb, packet);
}

static __noinline int send_answer(struct __sk_buff *skb, const struct net_packet *packet,
				  struct dns_scratch *scratch)
{
	struct net_dns_record *record = (void *)&scratch->head;
	__u32 length = scratch->length, account;

	record->cookie = packet->cookie;
	record->local = packet->local;
	record->remote = packet->remote;
	record->local_port = packet->local_port;
	record->zero = 0;
	__builtin_memset(&record->head.process, 0, sizeof(record->head.process));
	owner_find(skb, packet, &record->head.process);
	if (scratch->answerer == NET_UNLISTED)
		length = AT_MOST(length, UNLISTED_BYTES);
	length = AT_MOST(length, DNS_RECORD_BYTES);
	account = account_of_packet(packet, 0);
	length += sizeof(*record) - DNS_RECORD_BYTES;
	if (!net_ring_take(account, &record->head.process, length))
		NET_COUNT(lost_records);
	else if (net_record_send(&record->head, NET_RECORD_DNS, length))
		return 0;
	net_lose(account, &record->head.process);
	return 0;
}

/* What may not be learned is kept from its asker alone. */
static __always_inline bool is_kept_back(const struct dns_scratch *scratch)
{
	return scratch->verdict == NET_DENY && scratch->addresses &&
	       (scratch->source == NET_BY_DOMAIN_BLOCK || policy_active()->cidr_mode & NET_ENFORCE);
}

static __noinline int answer_verdict(struct __sk_buff *skb, const struct net_packet *packet,
				     struct dns_scratch *scratch, __u32 at)
{
	struct net_question key = {};

	if (!message_load(skb, scratch, at, packet->length - at))
		return DNS_MALFORMED;
	if (!(message_short(scratch, 2) & DNS_RESPONSE))
		return DNS_PASS;
	/* Some errors do not repeat the question. */
	if (!message_short(scratch, 4) && !message_short(scratch, 6))
		return DNS_PASS;
	if (message_short(scratch, 4) != 1 || !name_read(scratch, DNS_HEADER_BYTES))
		return DNS_MALFORMED;
	question_key(&key, packet, scratch->net_ns, message_short(scratch, 0));
	if (scratch->answerer == NET_UNLISTED) {
		if (unlisted_answers(scratch, &key))
			send_answer(skb, packet, scratch);
		return DNS_PASS;
	}
	if (packet->protocol == IPPROTO_UDP) {
		/* Whoever can send a packet could have any address blocked. */
		key.name = scratch->name.whole;
		if (!bpf_map_lookup_elem(&net_questions, &key)) {
			NET_COUNT(dns_unasked);
			return has_domains() ? DNS_DROP : DNS_PASS;
		}
	}
	if (!answer_read(scratch))
		return DNS_MALFORMED;
	if (has_domains() &&
	    (scratch->answerer == NET_RESOLVER ? !answer_learn(scratch) : is_kept_back(scratch)))
		return DNS_DROP;
	if (net_config.dns_records)
		send_answer(skb, packet, scratch);
	return DNS_PASS;
}

/* A socket without a mark may have asked for anything. */
static __always_inline bool has_asked(struct __sk_buff *skb)
{
	struct net_mark *mark = mark_of(skb);

	return !mark || mark->asked;
}

static __noinline int dns_answer(struct __sk_buff *skb, const struct net_packet *packet)
{
	bool empty;
	struct dns_scratch *scratch;
	int verdict = DNS_MALFORMED;
	__u32 at;

	if (!net_config.dns_records && !is_listed(packet))
		return false;
	at = message_start(skb, packet, &empty);
	if (empty && packet->protocol == IPPROTO_TCP)
		return false;
	/* The answer of a server that is no resolver passes, whatever it is. */
	if (!is_listed(packet) && (!at || !unlisted_awaited(skb, packet, at)))
		return false;
	if (!at && packet->protocol == IPPROTO_TCP)
		return is_resolution_enforced() || (has_domains() && has_asked(skb));
	scratch = at ? scratch_claim(NET_INGRESS) : 0;
	if (scratch) {
		answerer_find(skb, packet, scratch);
		verdict = answer_verdict(skb, packet, scratch, at);
		scratch_release(scratch);
	}
	if (verdict != DNS_MALFORMED)
		return verdict;
	if (!is_listed(packet))
		return false;
	NET_COUNT(dns_malformed);
	return has_domains();
}

static __always_inline bool dns_ingress(struct __sk_buff *skb, const struct net_packet *packet)
{
	return is_dns(packet) && dns_answer(skb, packet);
}

#endif
