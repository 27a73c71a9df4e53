/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Which process a socket belongs to. */
#ifndef RAQIB_NET_OWNER_H
#define RAQIB_NET_OWNER_H

#include "net_packet.h"

/* Leaves `owner` zero if nobody knows. */
static __always_inline void owner_find(struct __sk_buff *skb, const struct net_packet *packet,
				       struct process_key *owner)
{
}

#endif
