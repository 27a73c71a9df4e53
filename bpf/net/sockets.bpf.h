/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The hooks that tell who uses a socket and what becomes of it, beside its packets. */
#ifndef RAQIB_NET_SOCKETS_H
#define RAQIB_NET_SOCKETS_H

#include "net/flows.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct listener_key);
	__type(value, __u8);
} net_listeners SEC(".maps");

SEC("cgroup/sock_create")
int net_sock_create(struct bpf_sock *ctx)
{
	socket_used(bpf_get_socket_cookie(ctx));
	return 1;
}

SEC("cgroup/sock_release")
int net_sock_release(struct bpf_sock *ctx)
{
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct net_socket *socket = bpf_map_lookup_elem(&net_sockets, &cookie);

	/* A TCP connection lives on for a while. */
	if (!socket || ctx->protocol == IPPROTO_TCP)
		return 1;
	flow_of_socket(socket, cookie, FLOW_ENDED | FLOW_TERMINATOR);
	return 1;
}

SEC("cgroup/connect4")
int net_connect4(struct bpf_sock_addr *ctx)
{
	socket_used(bpf_get_socket_cookie(ctx));
	return 1;
}

SEC("cgroup/connect6")
int net_connect6(struct bpf_sock_addr *ctx)
{
	socket_used(bpf_get_socket_cookie(ctx));
	return 1;
}

SEC("cgroup/sendmsg4")
int net_sendmsg4(struct bpf_sock_addr *ctx)
{
	socket_used(bpf_get_socket_cookie(ctx));
	return 1;
}

SEC("cgroup/sendmsg6")
int net_sendmsg6(struct bpf_sock_addr *ctx)
{
	socket_used(bpf_get_socket_cookie(ctx));
	return 1;
}

/* Accepting a connection asks for its peer, unless it is told not to. */
SEC("cgroup/getpeername4")
int net_getpeername4(struct bpf_sock_addr *ctx)
{
	socket_used(bpf_get_socket_cookie(ctx));
	return 1;
}

SEC("cgroup/getpeername6")
int net_getpeername6(struct bpf_sock_addr *ctx)
{
	socket_used(bpf_get_socket_cookie(ctx));
	return 1;
}

/* A connection has been established that nobody has accepted yet: give its socket a cookie and a
 * flow, so that accepting finds both. */
SEC("sockops")
int net_sockops(struct bpf_sock_ops *ops)
{
	struct net_socket *socket;
	struct flow_key key = {};
	struct bpf_sock *sk;
	struct flow *flow;
	__u64 cookie, address;
	__u32 account;

	if (ops->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		return 1;
	sk = ops->sk;
	if (!sk)
		return 1;
	cookie = bpf_get_socket_cookie(ops);
	address = address_of(sk);
	if (!address)
		return 1;
	key.protocol = IPPROTO_TCP;
	key.version = 6;
	key.net_ns = BPF_CORE_READ((struct sock *)address, __sk_common.skc_net.net, ns.inum);
	key.local_port = ops->local_port;
	key.remote_port = bpf_ntohl(ops->remote_port);
	if (ops->family == AF_INET) {
		map_ipv4(&key.local, ops->local_ip4);
		map_ipv4(&key.remote, ops->remote_ip4);
	} else {
		__u32 *local = (void *)key.local.bytes, *remote = (void *)key.remote.bytes;

		local[0] = ops->local_ip6[0];
		local[1] = ops->local_ip6[1];
		local[2] = ops->local_ip6[2];
		local[3] = ops->local_ip6[3];
		remote[0] = ops->remote_ip6[0];
		remote[1] = ops->remote_ip6[1];
		remote[2] = ops->remote_ip6[2];
		remote[3] = ops->remote_ip6[3];
	}
	if (is_mapped(&key.remote))
		key.version = 4;
	flow = bpf_map_lookup_elem(&flows, &key);
	/* Its listener's pays, whose the flow is. */
	account = flow ? flow->account : account_of_sock(address);
	if (!socket_turn(cookie, account, NULL))
		return 1;
	socket = socket_put(cookie, NULL, address, account);
	if (!socket || !is_still(socket, cookie))
		return 1;
	socket->last = key;
	if (flow)
		flow->cookie = cookie;
	flow_of_socket(socket, cookie, FLOW_STARTED);
	return 1;
}

static __always_inline bool is_inet(struct sock *sk)
{
	__u16 family = sk->__sk_common.skc_family;

	return family == AF_INET || family == AF_INET6;
}

/* Whether a socket is one that we are for: what no cgroup bounds has to ask. */
static __always_inline bool is_ours(struct sock *sk)
{
	return is_inet(sk) && is_within(sk, flow_config.cgroup);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state, struct sock *sk, int before, int now)
{
	__u64 cookie = sk->__sk_common.skc_cookie.counter;
	struct net_socket *socket;

	if (!cookie)
		return 0;
	socket = bpf_map_lookup_elem(&net_sockets, &cookie);
	if (!socket)
		return 0;
	/* The flow that a listener has is one of many. */
	if (socket->last.protocol != IPPROTO_TCP || before == BPF_TCP_LISTEN)
		return 0;
	if (now == BPF_TCP_ESTABLISHED && before == BPF_TCP_SYN_SENT) {
		flow_of_socket(socket, cookie, FLOW_STARTED);
	} else if (now == BPF_TCP_FIN_WAIT1) {
		flow_of_socket(socket, cookie, FLOW_TERMINATOR);
	} else if (now == BPF_TCP_CLOSE_WAIT) {
		flow_of_socket(socket, cookie, FLOW_TERMINATED);
	} else if (now == BPF_TCP_CLOSE) {
		flow_of_socket(socket, cookie, FLOW_ENDED);
		/* The socket may be connected anew. */
		if (is_still(socket, cookie))
			socket->last.protocol = 0;
	}
	return 0;
}

static __always_inline void sock_used(struct sock *sk)
{
	__u64 cookie = sk->__sk_common.skc_cookie.counter;

	if (cookie)
		socket_used(cookie);
}

/* Since 6.3: whoever receives, by whatever call. Of a connection, whoever tried to. */
SEC("tp_btf/sock_recv_length")
int BPF_PROG(sock_recv_length, struct sock *sk, int length, int flags)
{
	if ((length >= 0 || sk->sk_protocol == IPPROTO_TCP) && is_ours(sk))
		sock_used(sk);
	return 0;
}

/* In its place before: whoever reads of a TCP connection. */
SEC("tp_btf/tcp_rcv_space_adjust")
int BPF_PROG(tcp_rcv_space_adjust, struct sock *sk)
{
	if (is_ours(sk))
		sock_used(sk);
	return 0;
}

static __always_inline bool is_zero(const struct net_address *address)
{
	const __u64 *words = (const void *)address->bytes;

	return !words[0] && !words[1];
}

/* The flow of a connected socket; false if it is not connected. */
static __always_inline bool flow_key_of_sock(struct sock *sk, __u32 net_ns, struct flow_key *key)
{
	struct inet_sock *inet = (void *)sk;
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	__u16 protocol = BPF_CORE_READ(sk, sk_protocol);

	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
		return false;
	key->protocol = protocol;
	key->net_ns = net_ns;
	key->version = 6;
	key->local_port = bpf_ntohs(BPF_CORE_READ(inet, inet_sport));
	key->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (family == AF_INET) {
		map_ipv4(&key->local, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
		map_ipv4(&key->remote, BPF_CORE_READ(sk, __sk_common.skc_daddr));
	} else {
		BPF_CORE_READ_INTO(&key->local, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&key->remote, sk, __sk_common.skc_v6_daddr);
	}
	if (is_mapped(&key->remote))
		key->version = 4;
	return key->remote_port && !is_zero(&key->remote);
}

/* A connection that was there before: which side began is told only where a listener shows it. */
static __always_inline void existing_flow(struct net_socket *socket, __u32 actions)
{
	struct process_key owner = socket->owner;
	struct flow_key key = socket->last;
	struct listener_key listener = {.net_ns = key.net_ns, .port = key.local_port};
	struct flow *flow = bpf_map_lookup_elem(&flows, &key);

	if (!flow) {
		NET_COUNT(flows_made);
		flow = flow_make(&key, NULL, flow_turn(&key, &owner, socket->account),
				 socket->account);
	}
	if (key.protocol == IPPROTO_TCP)
		actions |= bpf_map_lookup_elem(&net_listeners, &listener) ? FLOW_INCOMING
									  : FLOW_OUTGOING;
	if (flow)
		flow_gain(&key, flow, &owner, actions);
}

/* Run twice at start. Of several processes that share a socket, the one that began last counts:
 * whoever made it for others seldom uses it. */
SEC("iter/task_file")
int existing_sockets(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct listener_key listener = {};
	struct net_socket *known, fresh = {};
	struct socket *socket;
	struct sock *sk;
	__u64 cookie;
	__u8 state, one = 1;

	if (!task || !file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk || !is_ours(sk))
		return 0;
	cookie = bpf_get_socket_cookie(sk);
	state = sk->__sk_common.skc_state;
	known = bpf_map_lookup_elem(&net_sockets, &cookie);
	if (flow_config.step == 2) {
		if (known && known->last.protocol &&
		    (known->last.protocol == IPPROTO_UDP || state == BPF_TCP_ESTABLISHED))
			existing_flow(known, known->last.protocol == IPPROTO_TCP
						     ? FLOW_STARTED | FLOW_ONGOING
						     : FLOW_STARTED);
		return 0;
	}
	if (known)
		fresh = *known;
	else
		fresh.account = account_of(task);
	fresh.cookie = cookie;
	fresh.owner = process_key_of(task);
	fresh.sock = (__u64)sk;
	fresh.net_ns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	fresh.user = 1;
	fresh.raw = BPF_CORE_READ(sk, sk_type) == SOCK_RAW;
	if (state == BPF_TCP_LISTEN) {
		listener.net_ns = fresh.net_ns;
		listener.port = BPF_CORE_READ(sk, __sk_common.skc_num);
		bpf_map_update_elem(&net_listeners, &listener, &one, BPF_ANY);
	} else if (!fresh.last.protocol) {
		if (!flow_key_of_sock(sk, fresh.net_ns, &fresh.last))
			__builtin_memset(&fresh.last, 0, sizeof(fresh.last));
	}
	net_account_get(fresh.account);
	if (socket_turn(cookie, fresh.account, &fresh.owner))
		bpf_map_update_elem(&net_sockets, &cookie, &fresh, BPF_ANY);
	return 0;
}

#endif
