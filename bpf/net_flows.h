/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Who talks to whom. */
#ifndef RAQIB_NET_FLOWS_H
#define RAQIB_NET_FLOWS_H

#include "net_owner.h"

static __always_inline void flow_seen(struct __sk_buff *skb, const struct net_packet *packet,
				      bool dropped)
{
}

#endif
