/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The maps; sizes are defaults, the daemon sets them from the configuration. */
#ifndef RAQIB_MAPS_H
#define RAQIB_MAPS_H

#include "lib/scratch.bpf.h"

/* Written by the daemon. */
struct policy policy SEC(".data.policy");
struct syscall_table syscalls SEC(".data.syscalls");
/* Literals by sixteen bits of their hash, others for each kind; objects by their inode number. */
struct filter literal_filter SEC(".data.literals");
struct filter object_filter SEC(".data.objects");
/* Read by the daemon. */
struct counters counters SEC(".data.counters");

#define COUNT(counter) __sync_fetch_and_add(&counters.counter, 1)

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} records SEC(".maps");

/* Living processes: a plain hash, which never evicts. For each processor there is one entry more,
 * of whatever process has no room. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct process_key);
	__type(value, struct process);
} processes SEC(".maps");

/* Users, as long as the daemon runs; it makes the one that the rest have in common. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct account);
} accounts SEC(".maps");

/* Those that have ended, until newer ones of their user push them out. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct process_key);
	__type(value, struct process);
} exited SEC(".maps");

/* Of each user, one after the other. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct turn_key);
	__type(value, struct process_key);
} exited_turns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 131072);
	__type(key, struct access_key);
	__type(value, struct access);
} accesses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, __u64);
	__type(value, struct context_path);
} paths SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct listing);
} listings SEC(".maps");

/* Paths and arguments that do not fit where they belong, by their hash. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2048);
	__type(key, __u64);
	__type(value, struct long_text);
} texts SEC(".maps");

/* Of programs that began a moment ago: the daemon looks when it is told of one. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct process_key);
	__type(value, struct environment);
} environments SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct access_key);
	__type(value, struct watched);
} watched SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct verdict);
} verdicts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 262144);
	__type(key, struct literal_key);
	__type(value, __u32);
} literals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct long_text);
} located SEC(".maps");

/* Files and directories that are known whatever they are called. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct object_key);
	__type(value, struct object);
} objects SEC(".maps");

/* One for each processor, and one for programs that may sleep (the daemon runs one at a time). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/* Hooks run with preemption off, so that a processor's scratch has one user at a time. */
static __always_inline struct scratch *scratch_get(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&scratches, &cpu);
}

static __always_inline struct scratch *scratch_get_sleepable(void)
{
	__u32 last = policy.cpus;

	return bpf_map_lookup_elem(&scratches, &last);
}

#endif
