/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the network programs and the daemon exchange; continues layout.h. */
#pragma once

#include "layout.h"

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

/* Every failure that the network programs can have. */
struct net_counters {
	__u64 lost_records;
	__u64 lost_flows;
	__u64 lost_sockets;

	__u64 unparsed;
	__u64 records;
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

/* A socket, by its cookie: whose it is, and its flow (of an unconnected one the latest). */
struct net_socket {
	struct process_key owner; /* zero if nobody knows */
	__u64 sock;		  /* kernel address, from the first packet on */
	__u32 net_ns;
	__u32 user; /* 0 for what is the kernel's own */
	struct flow_key last;
	__u32 zero;
};

struct flow_totals {
	__u64 packets_in;
	__u64 packets_out;
	__u64 bytes_in; /* IP headers included */
	__u64 bytes_out;
};

struct flow {
	struct process_key owner; /* the latest; zero if nobody knows */
	__u64 id;
	__u64 first_ns;
	__u64 lost_before; /* the loss counter when the flow began */
	struct flow_totals totals;
	__u32 actions;
	__u8 icmp_type; /* of the first message */
	__u8 icmp_code;
	__u8 zero[2];
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

/* What the daemon wants to be told of. */
struct flow_config {
	__u32 wanted; /* 0: nothing */
	__u32 agent;  /* pid of the daemon itself, which is not told of its own flows */
	__u32 step;   /* of existing_sockets: 1 finds owners and listeners, 2 the flows */
	__u32 zero;
};

struct listener_key {
	__u32 net_ns;
	__u16 port;
	__u16 zero;
};
