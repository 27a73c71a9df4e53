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

	__u64 unparsed;
	__u64 records;
};
