/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Which process a socket belongs to: the one that used it last. Who creates, connects or accepts a
 * socket uses it, and so does who sends or receives on it; so it does not matter whether it was
 * made, inherited over fork, or passed over a Unix socket. A connection that nobody has accepted
 * yet belongs to its listener's process, also after an accept that does not ask for the peer, until
 * somebody sends or receives. A packet that comes in proves nothing: it is taken up in whichever
 * process happened to run. Before kernel 6.3, receiving datagrams does not count as use.
 */
#ifndef RAQIB_NET_OWNER_H
#define RAQIB_NET_OWNER_H

#include "net_kernel.h"
#include "net_maps.h"
#include "net_packet.h"
#include "process_key.h"

#define PF_KTHREAD 0x00200000

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, __u64);
	__type(value, struct net_socket);
} net_sockets SEC(".maps");

static __always_inline bool same_process(const struct process_key *one,
					 const struct process_key *other)
{
	return one->pid == other->pid && one->start_ns == other->start_ns;
}

/* The current process; false for a thread of the kernel. Only for what runs on its behalf. */
static __always_inline bool current_process(struct process_key *key)
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (task->flags & PF_KTHREAD)
		return false;
	key->pid = task->tgid;
	key->start_ns = task->group_leader->start_boottime;
	return true;
}

/* The socket belongs to `owner` from now on. The entry is replaced as a whole, so that nobody reads
 * half of a key. Null if the map refuses. */
static __noinline struct net_socket *socket_give(__u64 cookie, const struct net_socket *known,
						 const struct process_key *owner)
{
	struct net_socket socket = {};

	if (known)
		socket = *known;
	socket.owner = *owner;
	socket.quiet = 0;
	if (bpf_map_update_elem(&net_sockets, &cookie, &socket, BPF_ANY))
		NET_COUNT(lost_sockets);
	return bpf_map_lookup_elem(&net_sockets, &cookie);
}

/* The current process uses the socket. */
static __always_inline struct net_socket *socket_claim(__u64 cookie, struct net_socket *socket)
{
	struct process_key key = {};

	if (!current_process(&key))
		return socket;
	if (socket && same_process(&socket->owner, &key))
		return socket;
	return socket_give(cookie, socket, &key);
}

static __always_inline __u32 net_ns_of(struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

/* Learn what the kernel's own structure tells. Only by way of a map its pointer becomes an address
 * that can be read from. */
static __always_inline void socket_learn(struct net_socket *socket, struct bpf_sock *pointer)
{
	struct sock *sk;

	*(volatile __u64 *)&socket->sock = (__u64)pointer;
	sk = (struct sock *)*(volatile __u64 *)&socket->sock;
	socket->net_ns = net_ns_of(sk);
	socket->user = BPF_CORE_READ(sk, sk_socket, file) != NULL;
}

/*
 * Whether a packet leaves on behalf of the current process. Datagrams of user space's sockets
 * always do; the kernel's own sockets have no file. A TCP connection also sends by itself, but not
 * while a process holds it.
 */
static __always_inline bool sent_by_current(const struct net_socket *socket, __u8 protocol)
{
	struct sock *sk = (struct sock *)socket->sock;

	if (protocol == PROTO_TCP)
		return BPF_CORE_READ(sk, sk_lock.owned);
	return socket->user;
}

/* The entry of the packet's socket; null only if the map refuses. */
static __noinline struct net_socket *socket_of(struct __sk_buff *skb,
					       const struct net_packet *packet)
{
	__u64 cookie = packet->cookie;
	struct net_socket *socket = bpf_map_lookup_elem(&net_sockets, &cookie);
	struct process_key nobody = {}, current = {};
	struct bpf_sock *sk;

	if (!socket)
		socket = socket_give(cookie, NULL, &nobody);
	if (!socket)
		return NULL;
	if (!socket->sock) {
		sk = skb->sk;
		if (!sk)
			return socket;
		socket_learn(socket, sk);
	}
	if (packet->direction == NET_INGRESS)
		return socket;
	/* Nearly always it is the same process, which is quick to see. */
	if (!current_process(&current) || same_process(&current, &socket->owner) ||
	    !sent_by_current(socket, packet->protocol))
		return socket;
	return socket_give(cookie, socket, &current);
}

/* Who sends or receives this packet; zero if nobody knows. */
static __always_inline void owner_find(struct __sk_buff *skb, const struct net_packet *packet,
				       struct process_key *owner)
{
	struct net_socket *socket = socket_of(skb, packet);

	if (socket)
		*owner = socket->owner;
}

#endif
