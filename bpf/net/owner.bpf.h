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

#include "net/kernel.h"
#include "net/maps.bpf.h"
#include "net/packet.bpf.h"
#include "net/share.bpf.h"
#include "lib/process_key.bpf.h"

/* include/linux/sched.h, include/linux/net.h */
#define PF_KTHREAD 0x00200000
#define SOCK_RAW   3

#define MOST_CGROUPS_ABOVE 32

/* Whether a socket is within a cgroup, or below it. Its own counts, which is that of whoever made
 * it, as it does for the hooks of a cgroup. */
static __always_inline bool is_within(struct sock *sk, __u64 wanted)
{
	struct cgroup_subsys_state *state;
	struct cgroup *cgroup;
	int i;

	if (!wanted || !bpf_core_field_exists(sk->sk_cgrp_data))
		return true;
	cgroup = BPF_CORE_READ(sk, sk_cgrp_data.cgroup);
	for (i = 0; i < MOST_CGROUPS_ABOVE && cgroup; i++) {
		if (BPF_CORE_READ(cgroup, kn, id) == wanted)
			return true;
		state = BPF_CORE_READ(cgroup, self.parent);
		cgroup = state ? BPF_CORE_READ(state, cgroup) : NULL;
	}
	return false;
}

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

/* Whether an entry is still that of the socket. The map may give what it forgets or replaces to
 * another socket at once; so nothing is deleted, and this is asked right before an entry is written
 * to. */
static __always_inline bool is_still(const struct net_socket *socket, __u64 cookie)
{
	return *(volatile const __u64 *)&socket->cookie == cookie;
}

static __always_inline void move_total(__u64 *from, __u64 *to)
{
	__u64 moved = *from ? __sync_lock_test_and_set(from, 0) : 0;

	if (moved)
		__sync_fetch_and_add(to, moved);
}

static __always_inline void totals_move(struct flow_totals *from, struct flow_totals *to)
{
	move_total(&from->packets_in, &to->packets_in);
	move_total(&from->packets_out, &to->packets_out);
	move_total(&from->bytes_in, &to->bytes_in);
	move_total(&from->bytes_out, &to->bytes_out);
}

/* A turn for a socket that is not known yet. */
static __noinline bool socket_turn(__u64 cookie, __u32 account, const struct process_key *owner)
{
	struct process_key nobody = {};

	if (bpf_map_lookup_elem(&net_sockets, &cookie) ||
	    turn_of(account, NET_SOCKETS, owner ? owner : &nobody, 0, &cookie))
		return true;
	NET_COUNT(lost_sockets);
	net_lose(account, owner ? owner : &nobody);
	return false;
}

/* Replace an entry as a whole, so that nobody reads half of a key: with another owner, or with what
 * the kernel's own structure tells, if they are given. Null only if the map refuses. */
static __noinline struct net_socket *socket_put(__u64 cookie, const struct process_key *owner,
						__u64 address, __u32 account)
{
	struct net_socket *known = bpf_map_lookup_elem(&net_sockets, &cookie);
	struct sock *sk = (struct sock *)address;
	struct net_socket socket = {}, *fresh;

	if (known)
		socket = *known;
	if (socket.cookie != cookie)
		__builtin_memset(&socket, 0, sizeof(socket));
	if (!socket.cookie)
		socket.account = account;
	socket.cookie = cookie;
	socket.quiet = 0;
	__builtin_memset(&socket.totals, 0, sizeof(socket.totals));
	if (owner)
		socket.owner = *owner;
	if (address) {
		socket.sock = address;
		socket.net_ns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
		socket.user = BPF_CORE_READ(sk, sk_socket, file) != NULL;
		socket.raw = BPF_CORE_READ(sk, sk_type) == SOCK_RAW;
	}
	if (bpf_map_update_elem(&net_sockets, &cookie, &socket, BPF_ANY))
		NET_COUNT(lost_sockets);
	fresh = bpf_map_lookup_elem(&net_sockets, &cookie);
	/* Packets went on being counted at the entry before this one. */
	if (fresh && known && fresh != known && is_still(known, cookie))
		totals_move(&known->totals, &fresh->totals);
	return fresh;
}

/* Only by way of a map a pointer becomes an address that can be read from. */
static __always_inline __u64 address_of(struct bpf_sock *sk)
{
	struct net_mark *mark = bpf_sk_storage_get(&net_marks, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!mark)
		return 0;
	*(volatile __u64 *)&mark->sock = (__u64)sk;
	return *(volatile __u64 *)&mark->sock;
}

/*
 * Whether a packet leaves on behalf of the current process. Datagrams of user space's sockets
 * always do; the kernel's own sockets have no file. A TCP connection also sends by itself, but not
 * while a process holds its lock; a listener does not care for its lock when it answers a SYN.
 */
static __always_inline bool sent_by_current(const struct net_socket *socket,
					    const struct net_packet *packet)
{
	struct sock *sk = (struct sock *)socket->sock;

	if (packet->protocol != IPPROTO_TCP)
		return socket->user;
	return (packet->tcp_flags & (TCP_SYN | TCP_ACK)) != (TCP_SYN | TCP_ACK) &&
	       BPF_CORE_READ(sk, sk_lock.owned);
}

/* The entry of the packet's socket; null only if the map refuses. */
static __noinline struct net_socket *socket_of(struct __sk_buff *skb,
					       const struct net_packet *packet)
{
	__u64 cookie = packet->cookie;
	struct net_socket *socket = bpf_map_lookup_elem(&net_sockets, &cookie);
	struct process_key current = {};
	struct bpf_sock *sk = skb->sk;
	__u32 account = 0;
	__u64 address;

	if (!socket || !socket->sock) {
		sk = sk ? bpf_sk_fullsock(sk) : NULL;
		address = sk ? address_of(sk) : 0;
		if (!socket) {
			account = account_of_sock(address);
			if (!socket_turn(cookie, account, NULL))
				return NULL;
		}
		socket = socket_put(cookie, NULL, address, account);
		if (!socket)
			return NULL;
	}
	socket->again = 1;
	if (packet->direction == NET_INGRESS)
		return socket;
	/* Nearly always it is the same process, which is quick to see. */
	if (!current_process(&current) || same_process(&current, &socket->owner) ||
	    !sent_by_current(socket, packet))
		return socket;
	return socket_put(cookie, &current, 0, 0);
}

/* Who pays for what a packet makes us do. */
static __noinline __u32 account_of_packet(const struct net_packet *packet, __u64 address)
{
	__u64 cookie = packet->cookie;
	struct net_socket *socket = bpf_map_lookup_elem(&net_sockets, &cookie);

	return socket ? socket->account : account_of_sock(address);
}

/* Who sends or receives this packet; zero if nobody knows. Looks only: it has little stack. */
static __always_inline void owner_find(struct __sk_buff *skb, const struct net_packet *packet,
				       struct process_key *owner)
{
	__u64 cookie = packet->cookie;
	struct net_socket *socket = bpf_map_lookup_elem(&net_sockets, &cookie);

	if (!socket)
		return;
	*owner = socket->owner;
	if (packet->direction == NET_EGRESS && sent_by_current(socket, packet))
		current_process(owner);
}

#endif
