/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the network programs and the daemon exchange; continues core.h. */
#pragma once

#include "layout/core.h"

#define ADDRESS_BYTES 16

enum net_direction {
	NET_INGRESS = 0,
	NET_EGRESS = 1,
};

/* What is sent through the ring buffer `net_records`. */
enum net_record_kind {
	NET_RECORD_DROP_IP = 1,
	NET_RECORD_DROP_DOMAIN = 2,
	NET_RECORD_FLOW = 3,
	NET_RECORD_DNS = 4,
	NET_RECORD_LEARNED = 5, /* a bare struct net_record: an address has become forbidden */
};

/* The beginning of every record. */
struct net_record {
	__u32 size;
	__u32 kind;
	__u64 timestamp_ns;
	__u64 lost;
	struct process_key process; /* zero if nobody knows */
};

/* IPv4 is ::ffff:a.b.c.d everywhere. */
struct net_address {
	__u8 bytes[ADDRESS_BYTES];
};

/* A key of the tries. */
struct net_prefix4 {
	__u32 length;
	__u32 address; /* as on the wire */
};

struct net_prefix6 {
	__u32 length;
	struct net_address address;
};

enum net_verdict {
	NET_ALLOW = 1,
	NET_DENY = 2,
};

/* What is done about what is denied; the modes of a policy are sums of these. */
enum net_act {
	NET_ALERT = 1 << 0,
	NET_ENFORCE = 1 << 1,
};

/* Why something is as it is. */
enum net_source {
	NET_BY_DEFAULT = 0,
	NET_BY_RULE = 1,   /* `rule` is its number in the policy */
	NET_BY_DOMAIN = 2, /* `rule` is the hash of a rule's domain; 0: the default for names */
	NET_BY_BLOCK = 3,  /* `rule` is the number of a runtime block */
	NET_BY_DOMAIN_BLOCK = 4, /* `rule` is the hash of a blocked domain */
};

/* A rule of the policy: of a network by its prefix, or of a domain by its hash. */
struct net_rule {
	__u32 id;
	__u8 verdict;
	__u8 length; /* of the prefix; labels of the domain */
	__u16 zero;
};

#define BLOCK_OWNER_BYTES  64
#define BLOCK_REASON_BYTES 192
#define DOMAIN_BYTES	   256

/* A runtime block of a network; the programs read only the numbers. */
struct net_block {
	__u64 end_ns; /* CLOCK_BOOTTIME; 0: until it is taken off */
	__u64 created_ns;
	__u64 created_epoch_ns; /* what the calendar said then */
	__u32 id;
	__u32 length;
	__u32 renewals;
	__u32 zero;
	char owner[BLOCK_OWNER_BYTES];
	char reason[BLOCK_REASON_BYTES];
};

#define MOST_GUARDED 16384

struct net_domain_block {
	__u64 end_ns;
	__u64 created_ns;
	__u64 created_epoch_ns;
	__u32 id;
	__u32 renewals;
	char owner[BLOCK_OWNER_BYTES];
	char reason[BLOCK_REASON_BYTES];
	char domain[DOMAIN_BYTES];
};

/* What answers said of an address: it serves a denied name, an allowed one, or both. */
struct net_learned {
	__u64 deny_until;
	__u64 allow_until;
	__u64 deny_rule;
	__u64 allow_rule;
	__u8 deny_source;
	__u8 zero[7];
};

/* One policy: there is room for two, so that a new one comes into force as a whole. */
struct net_policy {
	__u8 cidr_mode; /* sum of enum net_act */
	__u8 cidr_default;
	__u8 resolve_mode;
	__u8 resolve_default;
	__u32 epoch;
	/* Bit n: some rule's domain has n labels; bit 63: 63 or more. */
	__u64 depths;
};

struct net_config {
	struct net_policy policies[2];
	__u64 siphash_key[2];
	__u64 drop_interval_ns;	  /* between two records of the same thing */
	__u64 shortest_denial_ns; /* an address is denied at least so long after an answer */
	__u32 active;		  /* index into `policies` and the maps of rules */
	__u32 dns_records;	  /* whether the daemon wants the answers */
	__u32 dns_scratches;	  /* two for each processor */
	__u32 net_ns;		  /* the daemon's own network namespace */
	__u64 cgroup; /* only connections of this one, and of those below it, are ended; 0: of all
		       */
};

/* What others than the daemon may change too. */
struct net_switch {
	__u64 generation; /* grows with each change of a policy or block */
	__u32 domain_blocks;
	__u32 off;
};

/* What the policy remembers of a socket; each tag is a word, so that it is never half written. */
struct net_mark {
	__u64 allowed; /* tag of the remote address and the generation that allowed it */
	__u64 named;   /* tag of the remote address and the policy that allowed it for its name */
	__u32 dying;   /* its reset may pass */
	__u32 asked;   /* over TCP for a denied name, or for something that could not be read */
	__u64 sock;    /* kernel address */
};

/* One thing that is reported again and again. */
struct net_drop_key {
	__u64 rule;
	struct process_key process;
	struct net_address remote; /* or the hash of a name */
	__u16 source;
	__u16 question; /* 1: of a name */
	__u32 act;
};

struct net_drop_count {
	__u64 unreported;
	__u64 reported_ns;
	/* Of the first packet. */
	struct net_address local;
	__u16 local_port;
	__u16 remote_port;
	__u8 version;
	__u8 protocol;
	__u8 direction;
	__u8 icmp_type;
	__u8 icmp_code;
	__u8 zero[3];
	__u32 epoch;
};

/* NET_RECORD_DROP_IP, and the beginning of NET_RECORD_DROP_DOMAIN. */
struct net_drop {
	struct net_record head;
	__u64 rule;
	__u64 count; /* packets since the last such record, this one included */
	__u64 cookie;
	struct net_address local;
	struct net_address remote;
	__u16 local_port;
	__u16 remote_port;
	__u8 version;
	__u8 protocol;
	__u8 direction;
	__u8 source;
	__u8 act;
	__u8 icmp_type;
	__u8 icmp_code;
	__u8 tcp_flags;
	__u32 epoch;
};

struct net_drop_domain {
	struct net_drop drop;
	__u32 name_length;
	__u32 zero;
	char name[DOMAIN_BYTES];
};

#define DNS_RECORD_BYTES 16384

/* Who answered. */
enum net_answerer {
	NET_UNLISTED = 0, /* a server that is not in `net_resolvers` */
	NET_LISTED = 1,	  /* an address that is, where anybody could have taken it */
	NET_RESOLVER = 2, /* a resolver: the policy learns from it */
};

/* NET_RECORD_DNS: an answer to a question that was asked, as it came. */
struct net_dns_record {
	struct net_record head;
	__u64 cookie;
	struct net_address local;
	struct net_address remote;
	__u16 local_port;
	__u16 answerer;
	__u32 length; /* of the whole message; the record may hold less */
	__u32 net_ns; /* 0 if it is not known */
	__u32 zero;
	__u8 message[DNS_RECORD_BYTES];
};

/* A question that waits for its answer. */
struct net_question {
	struct net_address resolver;
	__u64 name; /* its hash; 0 in a key of `net_asked`, where it is the value */
	__u16 local_port;
	__u16 id;
	__u32 net_ns;
};

/* Who asks servers that are not in `net_resolvers`, and how much lately. */
struct net_asker {
	__u64 id;   /* user; cgroup of what root does; or 0 for all together */
	__u32 kind; /* enum net_asker_kind */
	__u32 zero;
};

enum net_asker_kind {
	NET_ASKER_ALL = 0,
	NET_ASKER_USER = 1,
	NET_ASKER_CGROUP = 2,
};

struct net_asked_lately {
	__u64 since_ns;
	__u64 count;
};

/* What the daemon asks with BPF_PROG_RUN: the hash of a name in wire format. */
struct net_hash_request {
	__u64 name; /* user address */
	__u32 length;
	__u32 labels; /* answer */
	__u64 hash;   /* answer */
};

/* What the daemon asks with BPF_PROG_RUN: whether packets to an address would be dropped. */
struct net_judge_request {
	struct net_address remote;
};

/* What forgets: each user has a share of it, in which its newest entries push out its oldest. */
enum net_table {
	NET_SOCKETS = 0,
	NET_FLOWS = 1,
	NET_LINKS = 2,
	NET_HEADS = 3,
	NET_QUESTIONS = 4,
};

#define NET_TABLES     5
#define NET_TURN_BYTES 48

/* Written by the daemon: how many entries there can be. */
struct net_room {
	__u32 most[NET_TABLES];
	__u32 pending_most;
};

struct net_holder {
	__u32 account;
	__u32 table;
};

/* An entry of a table, when it is its turn to go. */
struct net_turn {
	struct process_key process; /* zero if nobody knows */
	__u64 id;
	__u8 key[NET_TURN_BYTES];
};

/* What a process has in use, as far as that is remembered. */
struct net_load {
	struct share share;
	__s32 held[NET_TABLES];
	__s32 pending;
};

/* A user, with all users of the user namespaces that it made. */
struct net_account {
	__u32 id;
	__u32 pending;
	struct share share;
	__u64 lost;
	struct process_key loser; /* the latest process that lost something */
};

/* Every failure that the network programs can have, and what else is worth counting. */
struct net_counters {
	__u64 lost_records;
	__u64 lost_learned; /* no room for an address: the answer was dropped if it was denied */
	__u64 lost_scratch; /* all working memory was in use: as if the message were malformed */
	__u64 lost_flows;
	__u64 lost_sockets;

	__u64 unparsed;
	__u64 records;
	__u64 dropped;
	__u64 destroyed;
	__u64 dns_malformed;
	__u64 dns_partial; /* segments that are not exactly one message */
	__u64 dns_unasked; /* answers to what nobody asked */
	__u64 dns_unheard; /* questions to other servers than resolvers that were too many */
	__u64 flows_made;
	__u64 pending_flows;
};

/* A flow as one of its two sides sees it. */
struct flow_key {
	struct net_address local;
	struct net_address remote;
	/* ICMP has no ports: here are the identifier of an echo, or 0, and of any other message
	 * its type * 256 + code, or 0. */
	__u16 local_port;
	__u16 remote_port;
	__u32 net_ns;
	__u8 protocol; /* 1 also for ICMPv6 */
	__u8 version;
	__u16 zero;
};

enum flow_action {
	FLOW_CREATED = 1 << 0,
	FLOW_INGRESS = 1 << 1,
	FLOW_EGRESS = 1 << 2,
	FLOW_INCOMING = 1 << 3,
	FLOW_OUTGOING = 1 << 4,
	FLOW_STARTED = 1 << 5,
	FLOW_ONGOING = 1 << 6,
	FLOW_ENDED = 1 << 7,
	FLOW_TERMINATOR = 1 << 8,
	FLOW_TERMINATED = 1 << 9,
};

struct flow_totals {
	__u64 packets_in;
	__u64 packets_out;
	__u64 bytes_in; /* IP headers included */
	__u64 bytes_out;
};

/* A socket, by its cookie: whose it is, and its flow (of an unconnected one the latest). */
struct net_socket {
	__u64 cookie;
	struct process_key owner; /* zero if nobody knows */
	__u64 sock;		  /* kernel address, from the first packet on */
	__u32 net_ns;
	__u8 user; /* 0 for what is the kernel's own */
	__u8 raw;  /* it may see, and send, what is others' */
	__u16 zero;
	struct flow_key last;
	__u32 account; /* who pays */
	__u32 again;   /* it was used since it was last its turn to go */
	__u32 quiet;   /* its cookie, if further packets of that flow are no news */
	/* What its flow has carried besides. */
	struct flow_totals totals;
};

struct flow {
	struct process_key owner; /* the latest; zero if nobody knows */
	__u64 id;
	__u64 first_ns;
	__u64 lost_before; /* the loss counter when the flow began */
	struct flow_totals totals;
	__u64 cookie; /* of the socket that had it last */
	__u32 actions;
	__u8 icmp_type; /* of the first message */
	__u8 icmp_code;
	__u8 reset_in; /* a packet with RST came */
	__u8 again;    /* it was seen since it was last its turn to go */
	__u32 account; /* who pays */
};

struct flow_head {
	__u64 last; /* id of the flow last added */
};

/* The flows of a process are a chain. */
struct flow_link_key {
	struct process_key process;
	__u64 flow;
};

struct flow_link {
	__u64 next;
	__u32 reported; /* what the daemon was told of this process and flow */
	struct flow_key key;
};

struct flow_record {
	struct net_record head;
	struct flow_key key;
	__u32 actions;
	struct flow_totals totals;
	__u64 first_ns;
	__u64 id;
	__u32 fresh;
	__u8 icmp_type;
	__u8 icmp_code;
	__u8 zero[2];
};

/* News of a process and a flow that did not fit into the ring buffer. */
struct flow_pending {
	struct flow_key key;
	__u32 fresh;
	__u64 timestamp_ns;
	__u64 lost;
	__u32 account;
	__u32 zero;
};

/* The daemon takes out what waits. */
struct flow_take_request {
	struct flow_link_key place;
	struct flow_pending pending; /* answer */
	__u32 found;		     /* answer */
	__u32 zero;
};

/* What the daemon wants to be told of. */
struct flow_config {
	__u32 wanted; /* 0: nothing */
	__u32 agent;  /* pid of the daemon itself, which is not told of its own flows */
	__u32 step;   /* of existing_sockets: 1 finds owners and listeners, 2 the flows */
	__u32 zero;
	__u64 cgroup; /* only sockets of this one and of those below it; 0: of all */
};

struct listener_key {
	__u32 net_ns;
	__u16 port;
	__u16 zero;
};
