/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the kernel side and the daemon exchange. A test compares the object's BTF with the daemon's
 * decoders. */
#pragma once

#include <linux/types.h>

#define PATH_BYTES	   4096
#define EXE_BYTES	   256
#define ARGS_BYTES	   256
#define LOADER_BYTES	   64
#define COMM_BYTES	   16
#define CONTEXT_PATH_BYTES 256
#define ENVIRONMENT_BYTES  2048
#define SYSCALLS	   512

enum action {
	ACTION_FASYNC = 1 << 0,
	ACTION_FLOCK = 1 << 1,
	ACTION_FSYNC = 1 << 2,
	ACTION_LLSEEK = 1 << 3,
	ACTION_MMAP = 1 << 4,
	ACTION_OPEN = 1 << 5,
	ACTION_READ = 1 << 6,
	ACTION_WRITE = 1 << 7,
	ACTION_RENAME = 1 << 8,
	ACTION_TRUNCATE = 1 << 9,
	ACTION_UNLINK = 1 << 10,
	ACTION_CREATE = 1 << 11,
	ACTION_CLOSE = 1 << 12,
	ACTION_LINK = 1 << 13,
	ACTION_EXECVE = 1 << 14,
};

/* A pid may be reused; with the start time (CLOCK_BOOTTIME) it is not. */
struct process_key {
	__u64 start_ns;
	__u32 pid;
	__u32 zero;
};

enum image_flag {
	IMAGE_ARGS_TRUNCATED = 1 << 0,
	/* Its environment was kept: if `environments` has none, it was pushed out. */
	IMAGE_ENVIRONMENT = 1 << 1,
};

/* A program as one execve started it. A text longer than its field here is whole in the map
 * `texts`, by its hash. */
struct image {
	__u64 exec_ns;
	__u64 exe_hash;
	__u64 args_hash;
	__u16 exe_len;
	__u16 args_len;
	__u16 loader_len;
	__u16 flags;
	char exe[EXE_BYTES];
	char args[ARGS_BYTES];
	char loader[LOADER_BYTES];
};

/* What somebody has in use of what all processes share. */
struct share {
	/* A place in the ring buffer: once it has been read up to there, `bytes` begins anew. */
	__u64 mark;
	__u32 bytes;
	__u32 watched;
};

/* What changes all the time, and what only the kernel side needs. */
struct tally {
	/* Heads of the chains through `accesses` and `watched`: the hash of the file last added. */
	__u64 last_access;
	__u64 last_watched;
	/* How much of what the process did could not be told. */
	__u64 lost;
	struct share share;
	/* When its budget of names that are not resolved is full again. */
	__u64 given_ns;
	/* Who pays for what it does, and who for its entry. */
	__u32 account;
	__u32 charged;
	/* It has no entry of its own, since there was no room. */
	__u32 untracked;
	__u32 zero;
};

/* What a user holds of a table that forgets: the turns from `first` up to `next`, which go one
 * after the other. */
struct held {
	__u64 first;
	__u64 next;
};

struct turn_key {
	__u64 number;
	__u32 account;
	__u32 table;
};

enum loss {
	LOSS_WATCHED = 0, /* neither in the ring buffer nor in `watched` was room */
	LOSS_NAME = 1,	  /* the name could not be read */
	LOSS_BUDGET = 2,  /* beyond the budget of names that are not resolved */
};

#define LOSSES	       3
#define ACCOUNT_OTHERS 4294967295

/* A user, with all users of the user namespaces that it made. */
struct account {
	__u32 id;
	__u32 processes;
	struct share share;
	__u64 records;
	struct held exited;
	__u64 lost[LOSSES];
	struct process_key loser; /* the latest process that lost something */
};

struct process {
	struct process_key key;
	struct process_key parent;
	__u32 ppid;
	__u32 uid;
	__u32 gid;
	__u32 ns_pid;
	__u32 mnt_ns;
	__u32 pid_ns;
	__u32 uts_ns;
	__u32 ipc_ns;
	__u32 net_ns;
	__u32 cgroup_ns;
	__u64 cgroup_id;
	__u64 exit_ns;
	__u32 exit_code;
	__u32 exited;
	char comm[COMM_BYTES];
	struct image now;
	struct image before;
	struct tally tally;
};

struct access_key {
	struct process_key process;
	__u64 file;
};

/* Everything that a process did, for the background of an event: best effort. */
struct access {
	__u64 next;
	__u32 actions;
	/* What of it was told or waits, under the policy of that generation, while nobody knew yet
	 * whether the name matters. */
	__u32 told;
	__u32 generation;
	__u32 zero;
};

/* A name of a file. A longer one is whole in the map `texts`, by its hash. */
struct name {
	__u64 hash;
	__u32 len;
	/* The actions that matter by the literals of the entry's generation. */
	__u32 guess;
	char text[CONTEXT_PATH_BYTES];
};

/* What a process did to a file that some recipe may care about: kept until it is delivered and the
 * process is gone. What is RECORD_AS_GIVEN or RECORD_WAITS is here only while it waits, under a key
 * of its own. */
struct watched {
	__u64 next;
	__u64 timestamp_ns;
	__u32 actions;
	__u32 reported;
	__u32 interest;
	__u32 generation;
	__u32 flags;
	__u32 account; /* who pays */
	struct name path;
	/* Aliases; without a hash there is none. */
	struct name used;
	struct name inside;
};

/* The variables for the dynamic loader, each ended by a zero byte, of the program that began at
 * `exec_ns`. */
struct environment {
	__u64 exec_ns;
	__u32 len;
	__u32 incomplete;
	/* The second half is never used: the verifier adds the most that a length and a place can
	 * be. */
	char text[2 * ENVIRONMENT_BYTES];
};

struct context_path {
	__u32 len;
	char path[CONTEXT_PATH_BYTES];
};

struct long_text {
	__u32 len;
	char text[PATH_BYTES];
};

/* What a name means to the recipes: the actions on it that one of them may match. */
struct verdict {
	__u32 generation;
	__u32 interest;
};

enum literal_kind {
	LITERAL_EXACT = 1,
	LITERAL_BASE = 2,
	LITERAL_DIR = 3,
	LITERAL_PREFIX = 4,
};

/* Which of all values are worth a look-up. Bit n: of some, these are the sixteen bits by which it
 * is known here. */
#define FILTER_BITS 65536

struct filter {
	__u64 words[FILTER_BITS / 64];
};

struct literal_key {
	__u64 hash;
	__u32 kind;
	__u32 generation;
};

/* A file or directory, whatever it is called. */
struct object_key {
	__u64 inode;
	__u32 device;
	__u32 generation; /* of the inode: its number may be used again */
};

#define OBJECT_BYTES 256

/* What the host calls it, and what follows for names below it. */
struct object {
	__u64 hash;
	__u64 dir_hash;
	__u64 base_hash;
	__u64 state[4]; /* of the hash, to be continued with what lies below */
	__u32 components;
	__u32 len; /* 0 for the root */
	/* What literals say of the directories above it, under the policy of that generation. */
	__u32 above;
	__u32 generation;
	char text[OBJECT_BYTES + 8];
};

struct policy {
	__u64 siphash_key[2];
	/* Bit n: some LITERAL_PREFIX has n components; bit 63: 63 or more. */
	__u64 prefix_depths;
	__u32 generation;
	/* Actions that any recipe wants, and those for which only the daemon can tell. */
	__u32 wanted;
	__u32 residual;
	/* The daemon itself, whose own accesses would feed back. */
	__u32 agent;
	__u32 cpus;
	/* Whether any recipe asks for the environment of programs. */
	__u32 environments;
	/* The sizes of the maps. */
	__u32 watched_most;
	__u32 processes_most;
	__u32 exited_most;
	__u32 zero;
};

enum syscall_kind {
	SYSCALL_NONE = 0,
	/* The result is a descriptor of a file just opened. */
	SYSCALL_OPEN = 1,
	/* Arguments `fd` and `fd2` are descriptors. */
	SYSCALL_FD = 2,
	/* The same, looked at when the call begins, since the descriptor is gone when it ends. */
	SYSCALL_FD_ENTER = 3,
	SYSCALL_FD_RANGE_ENTER = 4,
	/* Arguments `name` and `name2` are names, relative to the descriptors `dir` and `dir2`. */
	SYSCALL_NAME = 5,
};

enum syscall_flag {
	/* The last component of `name` is followed if it is a symbolic link. */
	SYSCALL_FOLLOW = 1 << 0,
	/* It is if the argument `call_flags` says so. */
	SYSCALL_FOLLOW_IF_ASKED = 1 << 3,
	/* The open flags are the first member of a struct that the argument points to. */
	SYSCALL_FLAGS_INDIRECT = 1 << 1,
	/* The file is emptied whatever the flags. */
	SYSCALL_TRUNCATES = 1 << 2,
	/* Arguments are 32-bit numbers in memory, to which the argument `call_flags` points. */
	SYSCALL_ARGS_INDIRECT = 1 << 4,
	/* `name` is an address of a socket, as long as the argument after it says. */
	SYSCALL_SOCKET = 1 << 5,
};

/* An argument index of -1: there is none. */
struct syscall_row {
	__u8 kind;
	__u8 flags;
	__s8 fd;
	__s8 fd2;
	__s8 dir;
	__s8 name;
	__s8 dir2;
	__s8 name2;
	/* The row counts only if argument `equal` has `equal_value`, one of `any_bits` is set and
	 * none of `no_bits`. */
	__s8 equal;
	__s8 any;
	__s8 none;
	/* Those of open(2), or the AT_* of linkat(2). */
	__s8 call_flags;
	__u32 actions;
	__u32 actions2;
	__u32 equal_value;
	__u32 any_bits;
	__u32 no_bits;
};

/* [0]: the processor's own numbers, [1]: those of 32-bit programs. */
struct syscall_table {
	struct syscall_row rows[2][SYSCALLS];
};

/* Every failure that the kernel side can have: `lost_` is what can never be told, the others only
 * delay or cut. */
struct counters {
	__u64 lost_watched;
	__u64 lost_name;
	__u64 lost_budget;

	__u64 untracked; /* records of processes that had no entry */
	__u64 unmarked;	 /* records that may come again, since what was told could not be remembered
			  */
	__u64 accounts_full;
	__u64 pending;
	__u64 records;
	__u64 accesses;
	__u64 path_truncated;
	__u64 used_unread; /* by which name a file was opened could not be read, only which file it
			      is */
	__u64 args_truncated;
	__u64 text_failed;
	__u64 exited_full;
	/* In use. */
	__u32 watched_now;
	__u32 processes_now;
	__u32 exited_now;
	__u32 zero;
};

enum record_flag {
	/* `path` is what the program named: links on the way are not resolved. */
	RECORD_AS_GIVEN = 1 << 0,
	/* The last component would be followed too. */
	RECORD_FOLLOW = 1 << 1,
	RECORD_DELETED = 1 << 2,
	RECORD_PATH_TRUNCATED = 1 << 3,
	/* The interest is a guess from literals; the daemon should teach a verdict. */
	RECORD_UNDECIDED = 1 << 4,
	/* Of an entry in `watched`: it is there only until it is delivered. */
	RECORD_WAITS = 1 << 5,
	/* `inside` is the host's own name. */
	RECORD_HOST = 1 << 6,
};

/* A record ends with its texts, one after the other: path, used, inside, exe, args (the last two
 * only if long). */
#define RECORD_TEXT_BYTES (5 * PATH_BYTES + 256)

struct record {
	__u32 size;
	__u32 flags;
	__u64 timestamp_ns;
	__u64 path_hash;
	__u64 used_hash;
	__u64 inside_hash;
	__u32 actions;
	__u32 fresh;
	__u32 generation;
	__u16 path_len;
	__u16 used_len;
	__u16 inside_len;
	__u16 exe_len;
	__u16 args_len;
	__u16 mode;
	__u64 inode;
	__u64 file_size;
	__u64 mtime_ns;
	__u32 device;
	__u32 uid;
	__u32 gid;
	__u32 zero;
	__u64 lost;
	struct process process;
	char text[RECORD_TEXT_BYTES];
};

/* What the daemon asks with BPF_PROG_RUN. */
struct hash_request {
	__u64 path; /* user address */
	__u32 path_len;
	__u32 zero;
	__u64 hash;
	__u64 dir_hash;
	__u64 base_hash;
};

/* What a process did to which files, the newest first; the answer is in the map `listings`. */
struct list_request {
	struct process_key process;
	__u32 count;
	__u32 zero;
};

#define MOST_LISTED 1024

struct listing {
	struct {
		__u64 file;
		__u32 actions;
		__u32 zero;
	} files[MOST_LISTED];
};

/* A process did something to a path that the daemon found out. */
struct merge_request {
	struct process_key process;
	__u64 path; /* user address */
	__u32 path_len;
	__u32 actions;
	__u32 told;	/* of these */
	__u32 interest; /* if any, the process and the file are watched from now on */
	__u32 total;	/* answer: all that is known of the process and the file */
	__u32 zero;
};

/* What was pending has been delivered. */
struct settle_request {
	struct access_key key;
	__u32 reported;
	__u32 forget;  /* the entry only waited */
	__u32 actions; /* answer: all that waited, if it is forgotten */
	__u32 zero;
};

/* What has this key, or is behind a descriptor of the daemon, is known from now on, whatever it is
 * called. */
struct learn_request {
	__u64 path;	       /* user address: what the host calls it */
	__u32 path_len;	       /* 0: only the key is asked for */
	__s32 fd;	       /* negative: the key is given */
	struct object_key key; /* else it is the answer */
};

/* What the host calls what is behind a descriptor of the daemon. The answer is in the map
 * `located`, empty if nothing is known of it. */
struct locate_request {
	__u32 fd;
	__u32 zero;
};
