/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Questions on the way out, answers on the way in. */
#ifndef RAQIB_NET_DNS_H
#define RAQIB_NET_DNS_H

#include "net_policy.h"

static __always_inline bool dns_egress(struct __sk_buff *skb, const struct net_packet *packet)
{
	return false;
}

static __always_inline bool dns_ingress(struct __sk_buff *skb, const struct net_packet *packet)
{
	return false;
}

#endif
