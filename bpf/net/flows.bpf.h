/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Who talks to whom. All that is known of a flow lies in `flows`, which forgets a user's oldest;
 * what the daemon was told of a process and a flow lies in the links of that process's chain. A
 * record that does not fit into the ring buffer waits in `flows_pending`, from where the daemon's
 * sweep takes it: it does not forget, and what finds no room there is counted.
 */
#ifndef RAQIB_NET_FLOWS_H
#define RAQIB_NET_FLOWS_H

#include "net/owner.bpf.h"

/* linux/icmp.h, which the headers of the C library would have to come with. */
#define ICMP_ECHO_REPLY	     0
#define ICMP_ECHO_REQUEST    8
#define ICMP_IDENTIFIER_BACK 4 /* from the end of the header */

/* What a flow has done after which its packets are no news until it ends. */
#define ALL_WAYS      (FLOW_INGRESS | FLOW_EGRESS | FLOW_STARTED | FLOW_ONGOING)
#define QUIET_PACKETS 256

/* Written by the daemon. */
struct flow_config flow_config SEC(".data.flow_config");

__u64 flow_serial;
/* Entries of `flows_pending`. */
__u32 pending_now;

static __noinline struct flow_link *link_get(const struct flow_link_key *place,
					     const struct flow_key *key, __u32 account)
{
	struct flow_link *link = bpf_map_lookup_elem(&flow_links, place);
	struct flow_head *head, first = {};
	struct flow_link fresh = {};

	if (link)
		return link;
	if (!turn_of(account, NET_LINKS, &place->process, 0, place))
		return NULL;
	head = bpf_map_lookup_elem(&flow_heads, &place->process);
	if (!head && turn_of(account, NET_HEADS, &place->process, 0, &place->process)) {
		bpf_map_update_elem(&flow_heads, &place->process, &first, BPF_NOEXIST);
		head = bpf_map_lookup_elem(&flow_heads, &place->process);
	}
	if (head)
		fresh.next = __sync_lock_test_and_set(&head->last, place->flow);
	fresh.key = *key;
	bpf_map_update_elem(&flow_links, place, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&flow_links, place);
}

/* Not inline: so its type is among those of the object, and a test can compare it. */
static __noinline void flow_describe(struct flow_record *record, const struct flow_link_key *place,
				     const struct flow_key *key, const struct flow *flow,
				     __u32 fresh)
{
	__builtin_memset(record, 0, sizeof(*record));
	record->head.size = sizeof(*record);
	record->head.kind = NET_RECORD_FLOW;
	record->head.timestamp_ns = bpf_ktime_get_boot_ns();
	record->head.lost = net_counters.lost_flows - flow->lost_before;
	record->head.process = place->process;
	record->key = *key;
	record->totals = flow->totals;
	record->first_ns = flow->first_ns;
	record->id = flow->id;
	record->actions = flow->actions;
	record->fresh = fresh;
	record->icmp_type = flow->icmp_type;
	record->icmp_code = flow->icmp_code;
}

/* False if the ring buffer was full. */
static __always_inline bool flow_send(const struct flow_link_key *place, const struct flow_key *key,
				      const struct flow *flow, __u32 fresh)
{
	struct flow_record *record;

	if (!net_ring_take(flow->account, &place->process, sizeof(*record)))
		return false;
	record = bpf_ringbuf_reserve(&net_records, sizeof(*record), 0);
	if (!record)
		return false;
	flow_describe(record, place, key, flow, fresh);
	bpf_ringbuf_submit(record, 0);
	NET_COUNT(records);
	return true;
}

/* Whether one more may wait of a process and its user, who leave as much free for others. */
static __noinline bool pending_take(__u32 id, const struct process_key *process)
{
	struct net_account *account = net_account_get(id);
	struct net_load *load = load_get(process);
	__s32 own = load && load->pending > 0 ? load->pending : 0;

	if (!account || own + account->pending >= left_of(net_room.pending_most, pending_now))
		return false;
	__sync_fetch_and_add(&pending_now, 1);
	__sync_fetch_and_add(&account->pending, 1);
	if (load)
		__sync_fetch_and_add(&load->pending, 1);
	return true;
}

static __noinline int pending_give_back(__u32 id, const struct process_key *process)
{
	struct net_account *account = net_account_get(id);
	struct net_load *load = bpf_map_lookup_elem(&net_loads, process);

	__sync_fetch_and_add(&pending_now, -1);
	if (account)
		__sync_fetch_and_add(&account->pending, -1);
	if (load)
		__sync_fetch_and_add(&load->pending, -1);
	return 0;
}

/* False if there is no room for that either. */
static __noinline bool flow_wait(const struct flow_link_key *place, const struct flow_key *key,
				 const struct flow *flow, __u32 fresh)
{
	struct flow_pending *waiting = bpf_map_lookup_elem(&flows_pending, place);
	struct flow_pending pending = {};

	pending.key = *key;
	pending.fresh = waiting ? waiting->fresh | fresh : fresh;
	pending.timestamp_ns = bpf_ktime_get_boot_ns();
	pending.lost = net_counters.lost_flows - flow->lost_before;
	pending.account = waiting ? waiting->account : flow->account;
	if (!waiting && !pending_take(pending.account, &place->process)) {
		NET_COUNT(lost_flows);
		net_lose(flow->account, &place->process);
		return false;
	}
	if (bpf_map_update_elem(&flows_pending, place, &pending, BPF_ANY)) {
		if (!waiting)
			pending_give_back(pending.account, &place->process);
		NET_COUNT(lost_flows);
		net_lose(flow->account, &place->process);
		return false;
	}
	NET_COUNT(pending_flows);
	return true;
}

/* Put the flow into the chain of its process, and tell the daemon what is news and wanted. */
static __noinline void flow_tell(const struct flow_key *key, struct flow *flow,
				 const struct process_key *owner)
{
	struct flow_link_key place = {};
	struct flow_link *link;
	__u32 fresh;

	if (!owner->pid)
		return;
	place.process = *owner;
	place.flow = flow->id;
	flow->owner = *owner;
	link = link_get(&place, key, flow->account);
	fresh = flow->actions & ~(link ? link->reported : 0);
	if (!(fresh & flow_config.wanted) || owner->pid == flow_config.agent)
		return;
	if ((flow_send(&place, key, flow, fresh) || flow_wait(&place, key, flow, fresh)) && link)
		__sync_fetch_and_or(&link->reported, fresh);
}

static __always_inline void flow_gain(const struct flow_key *key, struct flow *flow,
				      const struct process_key *owner, __u32 actions)
{
	bool news = actions & ~flow->actions;

	if (news)
		news = actions & ~__sync_fetch_and_or(&flow->actions, actions);
	if (news || !same_process(owner, &flow->owner))
		flow_tell(key, flow, owner);
}

/* A flow that is not known, or begins anew. Null if there is no room for it. */
static __noinline struct flow *flow_make(const struct flow_key *key,
					 const struct net_packet *packet, __u64 id, __u32 account)
{
	struct flow flow = {};

	if (!id)
		return NULL;
	flow.id = id;
	flow.account = account;
	flow.first_ns = bpf_ktime_get_boot_ns();
	flow.lost_before = net_counters.lost_flows;
	if (packet) {
		flow.icmp_type = packet->icmp_type;
		flow.icmp_code = packet->icmp_code;
	}
	if (bpf_map_update_elem(&flows, key, &flow, BPF_ANY))
		return NULL;
	return bpf_map_lookup_elem(&flows, key);
}

/* The number of a new flow that has its turn, or 0. */
static __noinline __u64 flow_turn(const struct flow_key *key, const struct process_key *owner,
				  __u32 account)
{
	__u64 id = __sync_fetch_and_add(&flow_serial, 1) + 1;

	return turn_of(account, NET_FLOWS, owner, id, key) ? id : 0;
}

/* A packet of a flow for which there is no room is told as if the flow began with it: rather twice
 * than never. */
static __noinline int flow_tell_unkept(const struct flow_key *key, const struct process_key *owner,
				       __u32 account, __u32 actions)
{
	struct flow_link_key place = {.process = *owner};
	struct flow flow = {};

	if (!owner->pid || !(actions & flow_config.wanted) || owner->pid == flow_config.agent)
		return 0;
	place.flow = __sync_fetch_and_add(&flow_serial, 1) + 1;
	flow.id = place.flow;
	flow.account = account;
	flow.actions = actions;
	flow.first_ns = bpf_ktime_get_boot_ns();
	flow.lost_before = net_counters.lost_flows;
	if (!flow_send(&place, key, &flow, actions))
		flow_wait(&place, key, &flow, actions);
	return 0;
}

static __always_inline void copy_address(struct net_address *to, const struct net_address *from)
{
	__u32 *into = (void *)to->bytes;
	const __u32 *words = (const void *)from->bytes;

	into[0] = words[0];
	into[1] = words[1];
	into[2] = words[2];
	into[3] = words[3];
}

static __always_inline bool same_address(const struct net_address *one,
					 const struct net_address *other)
{
	const __u32 *first = (const void *)one->bytes;
	const __u32 *second = (const void *)other->bytes;

	return first[0] == second[0] && first[1] == second[1] && first[2] == second[2] &&
	       first[3] == second[3];
}

/* False if what the packet belongs to cannot be told. */
static __always_inline bool flow_key_of(struct __sk_buff *skb, const struct net_packet *packet,
					struct flow_key *key)
{
	__u16 identifier = 0;

	if (!packet->transport)
		return false;
	copy_address(&key->local, &packet->local);
	copy_address(&key->remote, &packet->remote);
	key->version = packet->version;
	key->protocol = packet->protocol;
	if (packet->protocol == IPPROTO_TCP || packet->protocol == IPPROTO_UDP) {
		key->local_port = packet->local_port;
		key->remote_port = packet->remote_port;
		return true;
	}
	key->protocol = IPPROTO_ICMP;
	if (packet->version == 4
		    ? packet->icmp_type == ICMP_ECHO_REPLY || packet->icmp_type == ICMP_ECHO_REQUEST
		    : packet->icmp_type == ICMPV6_ECHO_REQUEST ||
			      packet->icmp_type == ICMPV6_ECHO_REPLY) {
		bpf_skb_load_bytes(skb, packet->payload - ICMP_IDENTIFIER_BACK, &identifier,
				   sizeof(identifier));
		key->local_port = bpf_ntohs(identifier);
	} else {
		key->remote_port = packet->icmp_type << 8 | packet->icmp_code;
	}
	return true;
}

/* What the first packet of a flow says of it. */
static __always_inline __u32 first_actions(const struct net_packet *packet)
{
	bool out = packet->direction == NET_EGRESS;

	if (packet->protocol != IPPROTO_TCP)
		return FLOW_CREATED | FLOW_STARTED | (out ? FLOW_OUTGOING : FLOW_INCOMING);
	if (!(packet->tcp_flags & TCP_SYN)) /* it was there before */
		return FLOW_STARTED | FLOW_ONGOING;
	if (packet->tcp_flags & TCP_ACK) /* an answer to what was not seen */
		out = !out;
	return FLOW_CREATED | (out ? FLOW_OUTGOING : FLOW_INCOMING);
}

/* What a further packet adds, given what is known. How a connection begins and ends is told by its
 * socket: packets come here before anybody has looked whether they belong to it. */
static __always_inline __u32 further_actions(const struct net_packet *packet, __u32 known)
{
	__u32 other = packet->direction == NET_EGRESS ? FLOW_INGRESS : FLOW_EGRESS;

	if (packet->protocol != IPPROTO_TCP)
		return known & other ? FLOW_ONGOING : 0;
	return (known & FLOW_STARTED) && packet->payload < packet->length ? FLOW_ONGOING : 0;
}

/* Whether a flow that is not known may begin with this packet: to a listener, only a SYN can be. */
static __always_inline bool may_begin(const struct net_socket *socket,
				      const struct net_packet *packet)
{
	struct sock *sk = (struct sock *)socket->sock;

	return packet->protocol != IPPROTO_TCP || (packet->tcp_flags & TCP_SYN) ||
	       BPF_CORE_READ(sk, __sk_common.skc_state) != BPF_TCP_LISTEN;
}

static __always_inline __u64 totals_add(struct flow_totals *totals, struct __sk_buff *skb,
					const struct net_packet *packet)
{
	__u64 packets = skb->gso_segs ? skb->gso_segs : 1;
	/* Each packet that this one is cut into has the headers. */
	__u64 bytes = packet->length + (packets - 1) * packet->payload;

	if (packet->direction == NET_EGRESS) {
		__sync_fetch_and_add(&totals->bytes_out, bytes);
		return __sync_fetch_and_add(&totals->packets_out, packets);
	}
	__sync_fetch_and_add(&totals->bytes_in, bytes);
	return __sync_fetch_and_add(&totals->packets_in, packets);
}

/*
 * Whether a packet can be no news of the flow that the socket had last; then it is only counted, at
 * the socket. Now and then the flow is looked up all the same: a map forgets what is not looked up.
 */
static __always_inline bool socket_is_quiet(struct net_socket *socket, struct __sk_buff *skb,
					    const struct net_packet *packet, bool dropped)
{
	const struct flow_key *last = &socket->last;

	if (socket->quiet != (__u32)packet->cookie || dropped ||
	    (packet->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST)) || !packet->transport ||
	    last->protocol != packet->protocol || last->local_port != packet->local_port ||
	    last->remote_port != packet->remote_port ||
	    !same_address(&last->remote, &packet->remote) ||
	    !same_address(&last->local, &packet->local))
		return false;
	if (totals_add(&socket->totals, skb, packet) >= QUIET_PACKETS)
		socket->quiet = 0;
	return true;
}

/* The flow is the socket's latest; what the socket has counted was of the one before, if there was
 * another. A listener keeps the first, one of many. */
static __always_inline void socket_keep(struct net_socket *socket, const struct flow_key *key,
					struct flow *flow, const struct net_packet *packet)
{
	bool same = socket->last.protocol == key->protocol &&
		    socket->last.local_port == key->local_port &&
		    socket->last.remote_port == key->remote_port &&
		    same_address(&socket->last.remote, &key->remote) &&
		    same_address(&socket->last.local, &key->local);
	struct flow *before = flow;

	flow->cookie = packet->cookie;
	if (!is_still(socket, packet->cookie))
		return;
	if (socket->totals.packets_in || socket->totals.packets_out) {
		if (!same)
			before = bpf_map_lookup_elem(&flows, &socket->last);
		if (before)
			totals_move(&socket->totals, &before->totals);
	}
	if (!same && !(flow->actions & FLOW_ENDED) &&
	    (packet->protocol != IPPROTO_TCP || !socket->last.protocol))
		socket->last = *key;
}

/* A raw socket gets a copy of what others get, and may forge what others send. Its own are the
 * flows that it began, and messages of ICMP that nobody else was the first to get. */
static __always_inline bool is_others(const struct net_packet *packet, const struct flow_key *key,
				      const struct flow *flow)
{
	if (flow && !(flow->actions & FLOW_ENDED))
		return flow->cookie != packet->cookie;
	return packet->direction == NET_INGRESS && key->protocol != IPPROTO_ICMP;
}

/* Of a socket for which there is no room: only what the current process sends is known. */
static __noinline int unkept_seen(struct __sk_buff *skb, const struct net_packet *packet)
{
	struct bpf_sock *sk = skb->sk;
	struct process_key owner = {};
	struct flow_key key = {};
	struct sock *sock;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	sock = sk ? (struct sock *)address_of(sk) : NULL;
	if (!sock || packet->direction != NET_EGRESS || !current_process(&owner) ||
	    !flow_key_of(skb, packet, &key))
		return 0;
	if (packet->protocol == IPPROTO_TCP ? !BPF_CORE_READ(sock, sk_lock.owned)
					    : !BPF_CORE_READ(sock, sk_socket, file))
		return 0;
	key.net_ns = BPF_CORE_READ(sock, __sk_common.skc_net.net, ns.inum);
	if (!bpf_map_lookup_elem(&flows, &key))
		flow_tell_unkept(&key, &owner, current_account(),
				 first_actions(packet) | FLOW_EGRESS);
	return 0;
}

static __noinline void flow_seen(struct __sk_buff *skb, const struct net_packet *packet,
				 bool dropped)
{
	struct net_socket *socket;
	struct process_key owner;
	struct flow_key key = {};
	struct flow *flow;
	bool begins;
	__u32 actions = 0, account;

	if (!packet->cookie)
		return;
	socket = socket_of(skb, packet);
	if (!socket) {
		unkept_seen(skb, packet);
		return;
	}
	if (socket_is_quiet(socket, skb, packet, dropped) || !flow_key_of(skb, packet, &key))
		return;
	key.net_ns = socket->net_ns;
	owner = socket->owner;
	account = socket->account;
	if (!is_still(socket, packet->cookie))
		return;
	flow = bpf_map_lookup_elem(&flows, &key);
	if (socket->raw && is_others(packet, &key, flow))
		return;
	begins = packet->protocol != IPPROTO_TCP ||
		 (packet->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	if (!flow || (begins && (flow->actions & FLOW_ENDED))) {
		if (!flow && !may_begin(socket, packet))
			return;
		if (!flow)
			NET_COUNT(flows_made);
		flow = flow_make(&key, packet, flow_turn(&key, &owner, account), account);
		actions = first_actions(packet);
	} else {
		actions = further_actions(packet, flow->actions);
		flow->again = 1;
	}
	if (!flow) {
		actions |= packet->direction == NET_EGRESS ? FLOW_EGRESS : FLOW_INGRESS;
		flow_tell_unkept(&key, &owner, account, actions);
		return;
	}
	if (packet->direction == NET_INGRESS && (packet->tcp_flags & TCP_RST))
		flow->reset_in = 1;
	if (!dropped) {
		actions |= packet->direction == NET_EGRESS ? FLOW_EGRESS : FLOW_INGRESS;
		totals_add(&flow->totals, skb, packet);
	}
	socket_keep(socket, &key, flow, packet);
	if (!owner.pid)
		owner = flow->owner;
	flow_gain(&key, flow, &owner, actions);
	if ((flow->actions & (ALL_WAYS | FLOW_ENDED)) == ALL_WAYS && !socket->raw &&
	    is_still(socket, packet->cookie))
		socket->quiet = packet->cookie;
}

/* Something happened to a socket and its flow other than a packet. */
static __always_inline void flow_of_socket(struct net_socket *socket, __u64 cookie, __u32 actions)
{
	struct flow_key key = socket->last;
	struct process_key owner = socket->owner;
	struct flow *flow;

	if (!key.protocol || !is_still(socket, cookie))
		return;
	flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow)
		return;
	totals_move(&socket->totals, &flow->totals);
	/* Who does not say farewell has given up, unless he was turned away. */
	if (actions == FLOW_ENDED)
		actions |= flow->reset_in ? FLOW_TERMINATED : FLOW_TERMINATOR;
	if (flow->actions & (FLOW_TERMINATOR | FLOW_TERMINATED))
		actions &= ~(FLOW_TERMINATOR | FLOW_TERMINATED);
	if (!owner.pid)
		owner = flow->owner;
	flow_gain(&key, flow, &owner, actions);
}

/* The current process uses the socket: if that is news, its flow is now this process's too. */
static __noinline void socket_used(__u64 cookie)
{
	struct net_socket *socket = bpf_map_lookup_elem(&net_sockets, &cookie);
	struct process_key key = {};
	__u32 account = 0;

	if (!current_process(&key) || (socket && same_process(&socket->owner, &key)))
		return;
	if (!socket) {
		account = current_account();
		if (!socket_turn(cookie, account, &key))
			return;
	}
	socket = socket_put(cookie, &key, 0, account);
	if (socket)
		flow_of_socket(socket, cookie, 0);
}

/* The daemon takes out what waits. */
SEC("syscall")
int take_pending(struct flow_take_request *request)
{
	struct flow_link_key place = request->place;
	struct flow_pending *waiting = bpf_map_lookup_elem(&flows_pending, &place);

	request->found = 0;
	if (!waiting)
		return 0;
	request->pending = *waiting;
	if (bpf_map_delete_elem(&flows_pending, &place))
		return 0;
	request->found = 1;
	pending_give_back(request->pending.account, &place.process);
	return 0;
}

#endif
