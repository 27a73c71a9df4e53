// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The programs of the network, each named after its hook: thin, the headers do the work. */
#include <linux/bpf.h>

#include "lib/kernel.h"

#include <asm-generic/errno.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "net/kernel.h"
#include "net/maps.bpf.h"
#include "net/packet.bpf.h"
#include "net/owner.bpf.h"
#include "net/policy.bpf.h"
#include "net/dns.bpf.h"
#include "net/flows.bpf.h"
#include "net/destroy.bpf.h"
#include "net/sockets.bpf.h"

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

/* Run by the daemon in each network namespace after something has become forbidden. */
SEC("iter/tcp")
int destroy_forbidden(struct bpf_iter__tcp *ctx)
{
	struct sock_common *sk = ctx->sk_common;
	struct decision decision = {};
	struct net_address remote = {};
	struct net_mark *mark = 0;
	struct tcp_sock *tcp;
	__u8 state;

	if (!sk || net_switch.off)
		return 0;
	state = sk->skc_state;
	if (state == BPF_TCP_TIME_WAIT || state == BPF_TCP_CLOSE || state == BPF_TCP_LISTEN ||
	    state == BPF_TCP_NEW_SYN_RECV || !is_within((struct sock *)sk, net_config.cgroup) ||
	    !remote_of(sk, &remote))
		return 0;
	decide(&remote, &decision);
	if (decision.verdict != NET_DENY || !(decision.act & NET_ENFORCE))
		return 0;
	tcp = bpf_skc_to_tcp_sock(sk);
	if (!tcp)
		return 0;
	mark = bpf_sk_storage_get(&net_marks, tcp, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (is_named(mark, &remote, &decision))
		return 0;
	/* It is the one packet to there that may still leave. */
	if (mark)
		mark->dying = 1;
	if (!bpf_sock_destroy(sk))
		NET_COUNT(destroyed);
	return 0;
}

/* The daemon asks for the hash of a name: one algorithm, in one place. It runs this alone. */
SEC("syscall")
int hash_name(struct net_hash_request *request)
{
	__u32 last = net_config.dns_scratches, length = request->length;
	struct dns_scratch *scratch = bpf_map_lookup_elem(&dns_scratches, &last);

	if (!scratch || length > DOMAIN_BYTES ||
	    bpf_copy_from_user(scratch->message, length, (void *)request->name))
		return -EINVAL;
	scratch->length = length;
	if (!name_read(scratch, 0))
		return -EINVAL;
	request->labels = scratch->name.labels;
	request->hash = scratch->name.whole;
	return 0;
}

/* Where the kernel cannot end connections by itself, the daemon asks about each. Never attached:
 * what may sleep cannot look into tries. */
SEC("raw_tp")
int judge_address(struct net_judge_request *request)
{
	const __u64 *words = (const void *)request;
	struct net_address remote;
	struct decision decision = {};

	((__u64 *)remote.bytes)[0] = words[0];
	((__u64 *)remote.bytes)[1] = words[1];
	decide(&remote, &decision);
	return !net_switch.off && decision.verdict == NET_DENY && decision.act & NET_ENFORCE;
}
