/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Names in a DNS message. Every name is hashed label by label from its end, so that the hash of
 * each domain that it lies in falls off on the way; case does not count.
 */
#ifndef RAQIB_NET_NAME_H
#define RAQIB_NET_NAME_H

#include "net/maps.bpf.h"
#include "lib/scratch.bpf.h"
#include "lib/siphash.bpf.h"

#define DNS_MESSAGE_BYTES 65536
#define DNS_LABELS	  128
#define DNS_NAME_STEPS	  512 /* a name has 255 bytes; the rest is for following pointers */
#define DNS_TEXT_MOST	  253 /* of a name, without the final dot */
#define DNS_ADDRESSES	  1024
#define DNS_RECORDS	  1024
#define DNS_DOMAIN_LABELS 3 /* the hash domain of a label, and of labels */
#define DNS_DOMAIN_SUFFIX 4

enum name_state {
	NAME_READING = 0,
	NAME_DONE = 1,
	NAME_BAD = 2,
};

/* A name while it is read, and what the rules say of it. */
struct name_walk {
	__u32 at;
	__u32 floor;	 /* pointers lead before this, so that they end */
	__u32 after;	 /* where the message goes on after the name; 0: not known yet */
	__u32 remaining; /* bytes of the current label */
	__u32 labels;
	__u32 length; /* of the text */
	__u32 in_word;
	__u32 state;
	__u64 word;
	struct siphash siphash;
	__u64 hashes[DNS_LABELS];
	__u64 whole; /* the hash of the name */
	/* The outcome. */
	__u64 rule;
	__u64 end_ns;
	__u8 verdict;
	__u8 source;
	__u8 explicit;
	__u8 act;
	char text[DOMAIN_BYTES];
};

struct dns_address {
	__u32 at;
	__u32 ttl_s;
	__u32 bytes;
};

struct dns_scratch {
	__u32 busy;
	__u32 at;      /* how far the message was read */
	__u32 records; /* that remain */
	__u32 addresses;
	__u32 bad;
	__u32 owner_pointer; /* whose name was read last */
	__u32 hint_end;
	__u32 changed;
	__u32 full;
	__u32 weight; /* of what the names come to */
	/* What the names of an answer come to, together. */
	__u64 rule;
	__u64 end_ns;
	__u8 verdict; /* 0: no rule names any of them */
	__u8 source;
	__u8 spare[6];
	struct name_walk name;
	struct dns_address found[DNS_ADDRESSES];
	struct net_drop_domain drop;
	/* The record that is sent begins here and ends within `message`. */
	struct net_record head;
	__u64 cookie;
	struct net_address local;
	struct net_address remote;
	__u16 local_port;
	__u16 answerer;
	__u32 length;
	__u32 net_ns;
	__u32 pad;
	__u8 message[DNS_MESSAGE_BYTES];
};

struct name_context {
	struct dns_scratch *scratch;
};

static __always_inline __u8 message_byte(const struct dns_scratch *scratch, __u32 at)
{
	CLAMP(at, 0xffff);
	return scratch->message[at];
}

static __always_inline __u16 message_short(const struct dns_scratch *scratch, __u32 at)
{
	return message_byte(scratch, at) << 8 | message_byte(scratch, at + 1);
}

static __always_inline __u32 message_word(const struct dns_scratch *scratch, __u32 at)
{
	return (__u32)message_short(scratch, at) << 16 | message_short(scratch, at + 2);
}

static __always_inline void text_add(struct name_walk *name, __u8 byte)
{
	__u32 at = name->length;

	CLAMP(at, DOMAIN_BYTES - 1);
	name->text[at] = byte;
	name->length++;
}

static __always_inline void label_byte(struct name_walk *name, __u8 byte)
{
	__u32 label;

	/* Without a branch, which would double the verifier's paths. */
	byte |= ((__u8)(byte - 'A') < 26) << 5;
	text_add(name, byte);
	name->word |= (__u64)byte << (8 * (name->in_word & 7));
	name->in_word++;
	if (!(name->in_word & 7)) {
		siphash_word(&name->siphash, name->word);
		name->word = 0;
	}
	name->remaining--;
	if (name->remaining)
		return;
	siphash_word(&name->siphash, name->word | (__u64)name->in_word << 56);
	label = name->labels - 1;
	CLAMP(label, DNS_LABELS - 1);
	name->hashes[label] = siphash_digest(&name->siphash);
}

static long name_step(__u64 index, struct name_context *context)
{
	struct dns_scratch *scratch = context->scratch;
	struct name_walk *name = &scratch->name;
	__u32 at = name->at, target;
	__u8 byte;

	if (at >= scratch->length) {
		name->state = NAME_BAD;
		return 1;
	}
	byte = message_byte(scratch, at);
	if (name->remaining) {
		label_byte(name, byte);
		name->at = at + 1;
		return 0;
	}
	if (!byte) {
		if (!name->after)
			name->after = at + 1;
		name->state = NAME_DONE;
		return 1;
	}
	if (byte >= 0xc0) {
		target = (byte & 0x3f) << 8 | message_byte(scratch, at + 1);
		if (at + 1 >= scratch->length || target >= name->floor) {
			name->state = NAME_BAD;
			return 1;
		}
		if (!name->after)
			name->after = at + 2;
		name->at = target;
		name->floor = target;
		return 0;
	}
	if (byte > 63 || name->length + !!name->length + byte > DNS_TEXT_MOST) {
		name->state = NAME_BAD;
		return 1;
	}
	if (name->length)
		text_add(name, '.');
	name->labels++;
	name->remaining = byte;
	name->in_word = 0;
	name->word = 0;
	siphash_begin(&name->siphash, net_config.siphash_key, DNS_DOMAIN_LABELS);
	name->at = at + 1;
	return 0;
}

/* What the rules say of the domain that the last `index + 1` labels are. */
static long suffix_step(__u64 index, struct name_context *context)
{
	struct name_walk *name = &context->scratch->name;
	__u32 label = name->labels - 1 - (__u32)index, slot = net_config.active & 1;
	__u32 depth = index < 62 ? index + 1 : 63;
	struct net_domain_block *block;
	struct net_rule *rule;
	__u64 hash;
	void *rules;

	CLAMP(label, DNS_LABELS - 1);
	siphash_word(&name->siphash, name->hashes[label]);
	hash = siphash_digest(&name->siphash);
	name->whole = hash;
	if (net_switch.domain_blocks) {
		block = bpf_map_lookup_elem(&net_domain_blocks, &hash);
		if (block && (!block->end_ns || block->end_ns > bpf_ktime_get_boot_ns())) {
			name->source = NET_BY_DOMAIN_BLOCK;
			name->verdict = NET_DENY;
			name->explicit = 1;
			name->act = NET_ALERT | NET_ENFORCE;
			name->rule = hash;
			name->end_ns = block->end_ns;
		}
	}
	if (name->source == NET_BY_DOMAIN_BLOCK ||
	    !(policy_active()->depths & 1ULL << (depth & 63)))
		return 0;
	rules = bpf_map_lookup_elem(&net_domains, &slot);
	if (!rules)
		return 0;
	rule = bpf_map_lookup_elem(rules, &hash);
	if (rule) {
		name->source = NET_BY_DOMAIN;
		name->verdict = rule->verdict;
		name->explicit = 1;
		name->rule = hash;
	}
	return 0;
}

/* Read the name at `at` and look its domains up; false if it is malformed. */
static __noinline bool name_read(struct dns_scratch *scratch, __u32 at)
{
	struct name_context context = {.scratch = scratch};
	struct name_walk *name = &scratch->name;

	name->at = at;
	name->floor = at;
	name->after = 0;
	name->remaining = 0;
	name->labels = 0;
	name->length = 0;
	name->state = NAME_READING;
	bpf_loop(DNS_NAME_STEPS, name_step, &context, 0);
	if (name->state != NAME_DONE)
		return false;
	name->verdict = policy_active()->resolve_default;
	name->act = policy_active()->resolve_mode;
	name->source = NET_BY_DOMAIN;
	name->explicit = 0;
	name->rule = 0;
	name->end_ns = 0;
	siphash_begin(&name->siphash, net_config.siphash_key, DNS_DOMAIN_SUFFIX);
	name->whole = siphash_digest(&name->siphash);
	bpf_loop(name->labels, suffix_step, &context, 0);
	return true;
}

#endif
