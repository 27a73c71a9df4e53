// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The programs of the network, each named after its hook: thin, the headers do the work. */
#include <linux/bpf.h>

#include "kernel.h"

#include <asm-generic/errno.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "net_maps.h"
#include "net_packet.h"
#include "net_owner.h"
#include "net_policy.h"
#include "net_dns.h"
#include "net_flows.h"
#include "net_sockets.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define PASS 1
#define DROP 0
/* To the sender it is a full queue, which UDP does not tell. */
#define DROP_SILENTLY 2

SEC("cgroup_skb/egress")
int net_egress(struct __sk_buff *skb)
{
	struct net_packet packet = {};
	bool dropped;

	if (!packet_read(skb, true, &packet)) {
		NET_COUNT(unparsed);
		return PASS;
	}
	dropped = dns_egress(skb, &packet) || policy_verdict(skb, &packet);
	flow_seen(skb, &packet, dropped);
	return dropped ? DROP_SILENTLY : PASS;
}

SEC("cgroup_skb/ingress")
int net_ingress(struct __sk_buff *skb)
{
	struct net_packet packet = {};
	bool dropped;

	if (!packet_read(skb, false, &packet)) {
		NET_COUNT(unparsed);
		return PASS;
	}
	dropped = dns_ingress(skb, &packet) || policy_verdict(skb, &packet);
	flow_seen(skb, &packet, dropped);
	return dropped ? DROP : PASS;
}
