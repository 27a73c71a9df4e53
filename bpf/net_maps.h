/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The maps that every part of the network programs uses; sizes are defaults. */
#ifndef RAQIB_NET_MAPS_H
#define RAQIB_NET_MAPS_H

#include "net_layout.h"

/* Read by the daemon. */
struct net_counters net_counters SEC(".data.net_counters");

#define NET_COUNT(counter) __sync_fetch_and_add(&net_counters.counter, 1)

/* What nothing else would bring into the object's type information. */
const struct net_record *net_record_type __attribute__((unused));
const struct net_address *net_address_type __attribute__((unused));

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

#endif
