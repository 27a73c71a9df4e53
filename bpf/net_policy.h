/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* May this packet pass? */
#ifndef RAQIB_NET_POLICY_H
#define RAQIB_NET_POLICY_H

#include "net_owner.h"

/* True if the packet is to be dropped. */
static __always_inline bool policy_verdict(struct __sk_buff *skb, const struct net_packet *packet)
{
	return false;
}

#endif
