/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* From a packet as the hooks of a cgroup see it, which begins at the network header, to what the
 * rest looks at. */
#ifndef RAQIB_NET_PACKET_H
#define RAQIB_NET_PACKET_H

#include "layout/net.h"
#include "lib/scratch.bpf.h"

#include <bpf/bpf_endian.h>
#include <linux/icmpv6.h>
#include <linux/in.h>
#include <linux/in6.h>

/* include/linux/socket.h; the C library has them, the kernel's public headers do not. */
#define AF_INET	 2
#define AF_INET6 10

/* RFC 9293: bits of the 14th byte of the header. */
#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

#define EXTENSION_HEADERS 8

/* Local is this host's side of the socket, whichever way the packet goes. */
struct net_packet {
	struct net_address local;
	struct net_address remote;
	__u16 local_port; /* 0 where there is none */
	__u16 remote_port;
	__u8 version;	/* 4 or 6: of the packet, not of the socket */
	__u8 direction; /* enum net_direction */
	__u8 protocol;	/* PROTO_*; ICMPv6 keeps its own number */
	__u8 tcp_flags;
	__u8 icmp_type;
	__u8 icmp_code;
	__u8 fragment;	/* a part of a datagram: `payload` may end before the datagram does */
	__u8 transport; /* the transport header was read: ports, flags and payload count */
	__u32 length;	/* of the packet, network header included */
	__u32 payload;	/* where it begins, from the network header; at most `length` */
	__u64 cookie;	/* of the socket */
};

struct ipv4_header {
	__u8 version_words;
	__u8 tos;
	__be16 length;
	__be16 id;
	__be16 fragment;
	__u8 ttl;
	__u8 protocol;
	__be16 checksum;
	__be32 source;
	__be32 destination;
};

struct ipv6_header {
	__be32 version_class_flow;
	__be16 payload_length;
	__u8 next;
	__u8 hops;
	struct net_address source;
	struct net_address destination;
};

struct extension_header {
	__u8 next;
	__u8 length;
	__be16 fragment; /* of a fragment header */
};

struct ports {
	__be16 source;
	__be16 destination;
};

struct tcp_tail {
	__u8 words;
	__u8 flags;
};

#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV4_OFFSET	    0x1fff
#define IPV6_OFFSET	    0xfff8
#define IPV6_MORE_FRAGMENTS 0x0001

#define HEADERS_MASK 0x7ff

/* Read a header: from the packet itself if it lies there in one piece, which is several times as
 * quick. */
static __always_inline bool header_read(struct __sk_buff *skb, __u32 at, void *to, const __u32 size)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 offset = at;

	if (at <= HEADERS_MASK) {
		CLAMP(offset, HEADERS_MASK);
		data += offset;
		if (data + size <= end) {
			__builtin_memcpy(to, data, size);
			return true;
		}
	}
	return !bpf_skb_load_bytes(skb, at, to, size);
}

static __always_inline bool is_mapped(const struct net_address *address)
{
	const __u32 *words = (const void *)address->bytes;

	return !words[0] && !words[1] && words[2] == bpf_htonl(0xffff);
}

static __always_inline void map_ipv4(struct net_address *address, __be32 ipv4)
{
	__u32 *words = (void *)address->bytes;

	words[0] = 0;
	words[1] = 0;
	words[2] = bpf_htonl(0xffff);
	words[3] = ipv4;
}

/* Where the transport header begins, or 0 if the packet has none (a later fragment). */
static __always_inline __u32 read_ipv4(struct __sk_buff *skb, struct net_packet *packet,
				       struct net_address *source, struct net_address *destination)
{
	struct ipv4_header header;
	__u16 fragment;

	if (!header_read(skb, 0, &header, sizeof(header)))
		return 0;
	packet->version = 4;
	packet->protocol = header.protocol;
	map_ipv4(source, header.source);
	map_ipv4(destination, header.destination);
	fragment = bpf_ntohs(header.fragment);
	packet->fragment = (fragment & (IPV4_MORE_FRAGMENTS | IPV4_OFFSET)) != 0;
	return fragment & IPV4_OFFSET ? 0 : (header.version_words & 0xf) * 4;
}

static __always_inline __u32 read_ipv6(struct __sk_buff *skb, struct net_packet *packet,
				       struct net_address *source, struct net_address *destination)
{
	struct ipv6_header header;
	struct extension_header extension;
	__u32 at = sizeof(header);
	__u16 fragment;
	__u8 next;
	int i;

	if (!header_read(skb, 0, &header, sizeof(header)))
		return 0;
	packet->version = 6;
	*source = header.source;
	*destination = header.destination;
	next = header.next;
	for (i = 0; i < EXTENSION_HEADERS; i++) {
		packet->protocol = next;
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING &&
		    next != IPPROTO_FRAGMENT && next != IPPROTO_AH && next != IPPROTO_DSTOPTS &&
		    next != IPPROTO_MH)
			return at;
		if (!header_read(skb, at, &extension, sizeof(extension)))
			return 0;
		if (next == IPPROTO_FRAGMENT) {
			fragment = bpf_ntohs(extension.fragment);
			packet->fragment = (fragment & (IPV6_OFFSET | IPV6_MORE_FRAGMENTS)) != 0;
			packet->protocol = extension.next;
			if (fragment & IPV6_OFFSET)
				return 0;
			at += 8;
		} else if (next == IPPROTO_AH) {
			at += (extension.length + 2) * 4;
		} else {
			at += (extension.length + 1) * 8;
		}
		next = extension.next;
	}
	packet->protocol = next;
	return 0;
}

static __always_inline void read_transport(struct __sk_buff *skb, struct net_packet *packet,
					   __u32 at, bool egress)
{
	struct ports ports;
	struct tcp_tail tail;
	__u8 icmp[2];

	switch (packet->protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
		if (!header_read(skb, at, &ports, sizeof(ports)))
			return;
		packet->local_port = bpf_ntohs(egress ? ports.source : ports.destination);
		packet->remote_port = bpf_ntohs(egress ? ports.destination : ports.source);
		if (packet->protocol == IPPROTO_UDP) {
			at += 8;
			break;
		}
		if (!header_read(skb, at + 12, &tail, sizeof(tail)))
			return;
		packet->tcp_flags = tail.flags;
		at += (tail.words >> 4) * 4;
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (!header_read(skb, at, icmp, sizeof(icmp)))
			return;
		packet->icmp_type = icmp[0];
		packet->icmp_code = icmp[1];
		at += 8;
		break;
	default:
		return;
	}
	packet->transport = 1;
	packet->payload = at < packet->length ? at : packet->length;
}

/* False if this is no IP packet; what cannot be read of one is left zero. Not inlined: its stack is
 * free again for others. */
static __noinline bool packet_read(struct __sk_buff *skb, bool egress, struct net_packet *packet)
{
	struct net_address *source = egress ? &packet->local : &packet->remote;
	struct net_address *destination = egress ? &packet->remote : &packet->local;
	__u32 at;

	packet->direction = egress ? NET_EGRESS : NET_INGRESS;
	packet->length = skb->len;
	packet->payload = skb->len;
	packet->cookie = bpf_get_socket_cookie(skb);
	if (skb->protocol == bpf_htons(0x0800))
		at = read_ipv4(skb, packet, source, destination);
	else if (skb->protocol == bpf_htons(0x86dd))
		at = read_ipv6(skb, packet, source, destination);
	else
		return false;
	if (at)
		read_transport(skb, packet, at, egress);
	return packet->version != 0;
}

#endif
