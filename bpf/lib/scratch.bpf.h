/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Working memory of one hook: paths do not fit the 512 bytes of stack. */
#ifndef RAQIB_SCRATCH_H
#define RAQIB_SCRATCH_H

#include "layout/core.h"
#include "lib/siphash.bpf.h"

#include <linux/limits.h>

/* A path is collected as parts around the middle: dentries from the leaf downwards, named
 * components upwards. */
#define PARTS	     4096
#define PARTS_MIDDLE (PARTS / 2)
/* So many directories and mounts a walk goes up. More than PARTS_MIDDLE cannot be told, but what
 * they lie below can. */
#define STEPS_MOST 65536

/* Mask an index where the compiler would leave out the operation that the verifier needs to see. */
#define CLAMP(x, mask) asm volatile("%0 &= %1" : "+r"(x) : "i"(mask))

/* A length that the verifier can follow: compilers test one register and use another, which kernels
 * before 6.3 do not connect. */
#define AT_MOST(x, most)                                                                  \
	({                                                                                \
		__u64 bounded = (x);                                                      \
		asm volatile("if %0 <= %1 goto +1; %0 = %1" : "+r"(bounded) : "i"(most)); \
		bounded;                                                                  \
	})

/* The same for the other end. */
#define AT_LEAST(x, least)                                                                 \
	({                                                                                 \
		__u64 bounded = (x);                                                       \
		asm volatile("if %0 >= %1 goto +1; %0 = %1" : "+r"(bounded) : "i"(least)); \
		bounded;                                                                   \
	})

struct part {
	__u64 name; /* kernel address */
	__u32 len;
	__u32 zero;
};

/* A finished absolute path with what follows from its components. */
struct text {
	__u64 hash;
	__u64 dir_hash;
	__u64 base_hash;
	__u32 interest; /* by the literals */
	__u32 len;
	__u32 truncated;
	__u32 components;
	__u32 above; /* what literals say of the directories above */
	__u32 zero;
	char bytes[PATH_BYTES + NAME_MAX + 16];
};

/* The parts collected so far: parts[first] to parts[last - 1], root first. */
struct span {
	__u32 first;
	__u32 last;
	__u32 overflow;
	__u32 zero;
};

/* Where a loop over a path stands. It is not on the stack, of which kernels before 6.13 give all
 * functions together 512 bytes. */
struct progress {
	__u64 dentry;
	__u64 mnt_root;
	__u64 mount;
	__u32 cross; /* into the parent mounts */
	__u32 done;
	__u32 start;
	__u32 floor; /* what an absolute name cannot climb above */
	__u32 keep_dots;
	__u32 from;  /* the first part that is told */
	__u32 count; /* of such parts */
	__u32 above; /* components before them */
	__u32 has_object;
	__u32 below;		  /* the first part below the object */
	struct object_key object; /* the nearest one on the way up */
	__u64 base_mnt;		  /* where a name starts, the dots at its beginning left behind */
	__u64 base_dentry;
	__u32 dots; /* so many bytes of it are such dots */
	__u32 zero;
	struct siphash whole;
	struct siphash component;
};

/* What a hook found out of an access. On the stack, the verifier would follow each combination by
 * itself. */
struct note {
	__u64 task;
	__u64 inode; /* 0 if only a name is known */
	__u32 actions;
	__u32 flags;
	__u32 has_used;
	__u32 has_inside;
	__u32 total; /* all that the process did to the file */
	__u32 interest;
	__u32 told;
	__u32 fresh;
	__u32 keeps_used; /* the name by which it was opened matters */
	__u32 zero;
	struct name used; /* by which the file was opened, as its entry knows */
};

struct scratch {
	struct span span;
	struct note note;
	struct progress progress;
	struct part parts[PARTS];
	struct text path;   /* as reached */
	struct text used;   /* as used by the program, made absolute */
	struct text inside; /* on the host, or within its own file system */
	char name[PATH_BYTES + 16];
	char args[PATH_BYTES + 16];
	struct context_path context;
	struct environment environment;
	struct watched watched;
	struct object object;
	struct process process;
	struct record record;
};

#endif
