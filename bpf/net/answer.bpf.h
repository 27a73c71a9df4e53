/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What an answer says: all its names count together, then each of its addresses is entered with
 * what they come to. Addresses are those of A and AAAA records, and the hints of SVCB and HTTPS.
 */
#ifndef RAQIB_NET_ANSWER_H
#define RAQIB_NET_ANSWER_H

#include "net/policy.bpf.h"
#include "net/name.bpf.h"

#define DNS_HEADER_BYTES 12
#define DNS_QUESTION_END 4 /* type and class */
#define DNS_RECORD_FIXED 10

#define DNS_TYPE_A     1
#define DNS_TYPE_CNAME 5
#define DNS_TYPE_AAAA  28
#define DNS_TYPE_DNAME 39
#define DNS_TYPE_SVCB  64
#define DNS_TYPE_HTTPS 65

#define SVCB_IPV4_HINT	4
#define SVCB_IPV6_HINT	6
#define SVCB_PARAMETERS 64

#define TTL_MOST_S (24 * 3600)
#define SECOND_NS  1000000000ULL

/* One for each processor and direction, and a last one for the daemon. */
#define DNS_SCRATCH_TRIES 3
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, struct dns_scratch);
} dns_scratches SEC(".maps");

/* How much a name has to say of the answer that it is in. An allowed name may lead through names
 * that no rule names, whatever is the default for those. */
static __always_inline __u32 name_weight(const struct name_walk *name)
{
	return (name->source == NET_BY_DOMAIN_BLOCK ? 4 : 0) + (name->explicit ? 2 : 0) +
	       (name->verdict == NET_DENY ? 1 : 0);
}

static __always_inline void answer_add_name(struct dns_scratch *scratch)
{
	const struct name_walk *name = &scratch->name;
	__u32 weight = name_weight(name);

	if (weight <= scratch->weight)
		return;
	scratch->weight = weight;
	scratch->verdict = name->verdict;
	scratch->source = name->source;
	scratch->rule = name->rule;
	scratch->end_ns = name->end_ns;
}

static __always_inline void answer_add_address(struct dns_scratch *scratch, __u32 at, __u32 bytes,
					       __u32 ttl_s)
{
	__u32 index = scratch->addresses;

	if (index >= DNS_ADDRESSES) {
		scratch->bad = 1;
		return;
	}
	CLAMP(index, DNS_ADDRESSES - 1);
	scratch->found[index].at = at;
	scratch->found[index].bytes = bytes;
	scratch->found[index].ttl_s = ttl_s;
	scratch->addresses++;
}

struct hint_context {
	struct dns_scratch *scratch;
	__u32 at;
	__u32 end;
	__u32 bytes;
	__u32 ttl_s;
};

static long hint_step(__u64 index, struct hint_context *context)
{
	if (context->at + context->bytes > context->end)
		return 1;
	answer_add_address(context->scratch, context->at, context->bytes, context->ttl_s);
	context->at += context->bytes;
	return 0;
}

static long parameter_step(__u64 index, struct hint_context *context)
{
	struct dns_scratch *scratch = context->scratch;
	struct hint_context hints = {.scratch = scratch, .ttl_s = context->ttl_s};
	__u32 at = context->at;
	__u16 key, length;

	if (at + 4 > context->end)
		return 1;
	key = message_short(scratch, at);
	length = message_short(scratch, at + 2);
	hints.at = at + 4;
	hints.end = at + 4 + length;
	if (hints.end > context->end) {
		scratch->bad = 1;
		return 1;
	}
	context->at = hints.end;
	hints.bytes = key == SVCB_IPV4_HINT ? 4 : key == SVCB_IPV6_HINT ? 16 : 0;
	if (hints.bytes)
		bpf_loop(DNS_ADDRESSES, hint_step, &hints, 0);
	return 0;
}

static __noinline int answer_read_hints(struct dns_scratch *scratch, __u32 at, __u32 end,
					__u32 ttl_s)
{
	struct hint_context context = {.scratch = scratch, .end = end, .ttl_s = ttl_s};

	if (!name_read(scratch, at + 2)) {
		scratch->bad = 1;
		return 0;
	}
	/* The root as target means the owner. */
	if (scratch->name.labels)
		answer_add_name(scratch);
	context.at = scratch->name.after;
	bpf_loop(SVCB_PARAMETERS, parameter_step, &context, 0);
	return 0;
}

/* Where the record goes on after its owner's name; a pointer to a name just seen is not followed
 * again. */
static __noinline __u32 answer_skip_owner(struct dns_scratch *scratch)
{
	__u32 at = scratch->at;
	__u16 pointer = message_short(scratch, at);

	if (pointer >= 0xc000 && pointer == scratch->owner_pointer && at + 2 <= scratch->length)
		return at + 2;
	if (!name_read(scratch, at))
		return 0;
	scratch->owner_pointer = pointer >= 0xc000 ? pointer : 0;
	answer_add_name(scratch);
	return scratch->name.after;
}

static long record_step(__u64 index, struct name_context *context)
{
	struct dns_scratch *scratch = context->scratch;
	__u32 at, ttl_s, end;
	__u16 type, length;

	if (!scratch->records || scratch->bad)
		return 1;
	scratch->records--;
	at = answer_skip_owner(scratch);
	if (!at || at + DNS_RECORD_FIXED > scratch->length) {
		scratch->bad = 1;
		return 1;
	}
	type = message_short(scratch, at);
	ttl_s = message_word(scratch, at + 4);
	length = message_short(scratch, at + 8);
	at += DNS_RECORD_FIXED;
	end = at + length;
	if (end > scratch->length) {
		scratch->bad = 1;
		return 1;
	}
	if (type == DNS_TYPE_A || type == DNS_TYPE_AAAA) {
		if (length != (type == DNS_TYPE_A ? 4 : 16))
			scratch->bad = 1;
		else
			answer_add_address(scratch, at, length, ttl_s);
	} else if (type == DNS_TYPE_CNAME || type == DNS_TYPE_DNAME) {
		if (name_read(scratch, at))
			answer_add_name(scratch);
		else
			scratch->bad = 1;
	} else if (type == DNS_TYPE_SVCB || type == DNS_TYPE_HTTPS) {
		answer_read_hints(scratch, at, end, ttl_s);
	}
	scratch->at = end;
	return 0;
}

/* Read the answers; the question's name was read just before. False if something is malformed. */
static __noinline bool answer_read(struct dns_scratch *scratch)
{
	struct name_context context = {.scratch = scratch};

	scratch->weight = 0;
	scratch->verdict = 0;
	scratch->addresses = 0;
	scratch->bad = 0;
	scratch->owner_pointer = 0xc000 | DNS_HEADER_BYTES;
	scratch->records = message_short(scratch, 6);
	scratch->at = scratch->name.after + DNS_QUESTION_END;
	if (scratch->at > scratch->length)
		return false;
	answer_add_name(scratch);
	bpf_loop(DNS_RECORDS, record_step, &context, 0);
	return !scratch->bad && !scratch->records;
}

static __always_inline bool address_read(const struct dns_scratch *scratch,
					 const struct dns_address *found,
					 struct net_address *address)
{
	__u32 at = found->at, *words = (void *)address->bytes;

	if (found->bytes == 4) {
		map_ipv4(address, bpf_htonl(message_word(scratch, at)));
		return true;
	}
	words[0] = bpf_htonl(message_word(scratch, at));
	words[1] = bpf_htonl(message_word(scratch, at + 4));
	words[2] = bpf_htonl(message_word(scratch, at + 8));
	words[3] = bpf_htonl(message_word(scratch, at + 12));
	return true;
}

static long learn_step(__u64 index, struct name_context *context)
{
	struct dns_scratch *scratch = context->scratch;
	struct net_address address = {};
	struct net_learned fresh = {}, *known;
	__u64 now = bpf_ktime_get_boot_ns(), until;
	__u32 at = index, ttl_s;

	CLAMP(at, DNS_ADDRESSES - 1);
	address_read(scratch, &scratch->found[at], &address);
	ttl_s = scratch->found[at].ttl_s;
	until = now + (ttl_s < TTL_MOST_S ? ttl_s : TTL_MOST_S) * SECOND_NS;
	if (until < now + net_config.shortest_denial_ns)
		until = now + net_config.shortest_denial_ns;
	if (scratch->end_ns && scratch->end_ns < until)
		until = scratch->end_ns;
	known = bpf_map_lookup_elem(&net_learned, &address);
	if (!known) {
		if (bpf_map_update_elem(&net_learned, &address, &fresh, BPF_NOEXIST) < 0)
			NET_COUNT(lost_learned);
		known = bpf_map_lookup_elem(&net_learned, &address);
		if (!known) {
			scratch->full = 1;
			return 1;
		}
	}
	if (scratch->verdict == NET_DENY) {
		/* What was blocked at run time stays so, whatever else leads there. */
		if (known->deny_until > now && known->deny_source == NET_BY_DOMAIN_BLOCK &&
		    scratch->source != NET_BY_DOMAIN_BLOCK)
			return 0;
		if (known->deny_until <= now)
			scratch->changed = 1;
		known->deny_rule = scratch->rule;
		known->deny_source = scratch->source;
		if (known->deny_until < until)
			known->deny_until = until;
		return 0;
	}
	if (known->allow_until <= now)
		scratch->changed = 1;
	known->allow_rule = scratch->rule;
	if (known->allow_until < until)
		known->allow_until = until;
	return 0;
}

/* Enter the addresses; false if one that is denied did not fit: then the program must not learn it.
 */
static __noinline bool answer_learn(struct dns_scratch *scratch)
{
	struct name_context context = {.scratch = scratch};
	struct net_record *record = &scratch->drop.drop.head;

	if (!scratch->verdict || !scratch->addresses)
		return true;
	scratch->changed = 0;
	scratch->full = 0;
	bpf_loop(scratch->addresses, learn_step, &context, 0);
	if (scratch->changed) {
		__sync_fetch_and_add(&net_learnings, 1);
		if (scratch->verdict == NET_DENY) {
			__builtin_memset(record, 0, sizeof(*record));
			net_record_send(record, NET_RECORD_LEARNED, sizeof(*record));
		}
	}
	return !scratch->full || scratch->verdict != NET_DENY;
}

#endif
