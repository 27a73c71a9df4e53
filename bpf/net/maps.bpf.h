/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The maps of the network programs; sizes are defaults. */
#ifndef RAQIB_NET_MAPS_H
#define RAQIB_NET_MAPS_H

#include "layout/net.h"

/* Written by the daemon. */
struct net_config net_config SEC(".data.net_config");
struct net_switch net_switch SEC(".data.net_switch");
struct net_room net_room SEC(".data.net_room");
/* Read by the daemon. */
struct net_counters net_counters SEC(".data.net_counters");
/* The programs' own part of the generation. */
__u64 net_learnings SEC(".data.net_learnings");

#define NET_COUNT(counter) __sync_fetch_and_add(&net_counters.counter, 1)

/* What nothing else would bring into the object's type information. */
const struct net_record *net_record_type __attribute__((unused));
const struct net_drop_domain *net_drop_domain_type __attribute__((unused));
const struct net_dns_record *net_dns_record_type __attribute__((unused));
const struct net_judge_request *net_judge_request_type __attribute__((unused));
const struct net_rule *net_rule_type __attribute__((unused));
const struct net_prefix4 *net_prefix4_type __attribute__((unused));

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} net_records SEC(".maps");

/* Send what begins with a struct net_record; false if the ring buffer was full. */
static __always_inline bool net_record_send(struct net_record *record, __u32 kind, __u32 size)
{
	record->size = size;
	record->kind = kind;
	record->timestamp_ns = bpf_ktime_get_boot_ns();
	record->lost = net_counters.lost_records;
	if (bpf_ringbuf_output(&net_records, record, size, 0)) {
		NET_COUNT(lost_records);
		return false;
	}
	NET_COUNT(records);
	return true;
}

/* The rules of the two policies; compilers leave out the types that only such an inner map names.
 * The daemon fills the one that is not active and then makes it so. */
struct net_rules4 {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(struct net_prefix4));
	__uint(value_size, sizeof(struct net_rule));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct net_rules4);
} net_rules4 SEC(".maps");

struct net_rules6 {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(struct net_prefix6));
	__uint(value_size, sizeof(struct net_rule));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct net_rules6);
} net_rules6 SEC(".maps");

struct net_domain_rules {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u64));
	__uint(value_size, sizeof(struct net_rule));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct net_domain_rules);
} net_domains SEC(".maps");

/* Runtime blocks of both families. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct net_prefix6);
	__type(value, struct net_block);
} net_blocks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct net_domain_block);
} net_domain_blocks SEC(".maps");

/* What the host cannot do without: no block and no answer to a question cuts it off. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MOST_GUARDED);
	__type(key, struct net_prefix6);
	__type(value, __u32);
} net_guarded SEC(".maps");

/* A plain hash, which never forgets; what is too old is taken away by the daemon. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 131072);
	__type(key, struct net_address);
	__type(value, struct net_learned);
} net_learned SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 256);
	__type(key, struct net_address);
	__type(value, __u32);
} net_resolvers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 32768);
	__type(key, struct net_question);
	__type(value, __u64);
} net_questions SEC(".maps");

/* What was asked of others than resolvers. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct net_question);
	__type(value, __u64);
} net_asked SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct net_asker);
	__type(value, struct net_asked_lately);
} net_askers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct net_drop_key);
	__type(value, struct net_drop_count);
} net_drops SEC(".maps");

/* Cookies of sockets that the daemon itself ends: their resets may pass. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u32);
} net_dying SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct net_mark);
} net_marks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 32768);
	__type(key, __u64);
	__type(value, struct net_socket);
} net_sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 32768);
	__type(key, struct flow_key);
	__type(value, struct flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct flow_link_key);
	__type(value, struct flow_link);
} flow_links SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct process_key);
	__type(value, struct flow_head);
} flow_heads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct flow_link_key);
	__type(value, struct flow_pending);
} flows_pending SEC(".maps");

/* Users, as long as the daemon runs; it makes the one that the rest have in common. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct net_account);
} net_accounts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct process_key);
	__type(value, struct net_load);
} net_loads SEC(".maps");

/* What each user holds of each table, and ACCOUNT_OTHERS - 1 what all hold together. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct net_holder);
	__type(value, struct held);
} net_holders SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 262144);
	__type(key, struct turn_key);
	__type(value, struct net_turn);
} net_turns SEC(".maps");

/* The same of `net_questions`, which outlive the daemon with them. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct net_holder);
	__type(value, struct held);
} net_askers_hold SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct turn_key);
	__type(value, struct net_turn);
} net_question_turns SEC(".maps");

#endif
