/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Connections to what has become forbidden end at once, and the peer hears of it. */
#ifndef RAQIB_NET_DESTROY_H
#define RAQIB_NET_DESTROY_H

#include "net/kernel.h"
#include "net/policy.bpf.h"

/* Since 6.5; weak, so that the other programs load without it. */
extern int bpf_sock_destroy(struct sock_common *sk) __ksym __weak;

static __always_inline bool remote_of(struct sock_common *sk, struct net_address *remote)
{
	if (sk->skc_family == AF_INET) {
		map_ipv4(remote, sk->skc_daddr);
		return true;
	}
	if (sk->skc_family != AF_INET6)
		return false;
	BPF_CORE_READ_INTO(remote, sk, skc_v6_daddr);
	return true;
}

/* A connection may have been opened to a name that was allowed then. */
static __always_inline bool is_named(const struct net_mark *mark, const struct net_address *remote,
				     const struct decision *decision)
{
	return mark && decision->source <= NET_BY_RULE &&
	       mark->named == tag_of(remote, policy_active()->epoch);
}

#endif
