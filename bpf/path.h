/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* From dentries and names to absolute paths, their hashes, and what the literals of the recipes say
 * of them. */
#ifndef RAQIB_PATH_H
#define RAQIB_PATH_H

#include "maps.h"
#include "siphash.h"

/* The parts collected so far: parts[first] to parts[last - 1], root first. */
struct span {
	__u32 first;
	__u32 last;
	__u32 overflow;
};

struct walk {
	struct scratch *scratch;
	struct dentry *dentry;
	struct dentry *mnt_root;
	struct mount *mount;
	struct span span;
	bool cross; /* into the parent mounts */
	bool done;
};

static long walk_step(__u64 index, struct walk *walk)
{
	struct dentry *dentry = walk->dentry;
	struct dentry *parent;
	struct part *part;
	__u32 at;

	if (walk->cross && dentry == walk->mnt_root) {
		struct mount *mount = walk->mount;
		struct mount *above = BPF_CORE_READ(mount, mnt_parent);

		if (above == mount || !above)
			goto done;
		walk->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		walk->mount = above;
		walk->mnt_root = BPF_CORE_READ(above, mnt.mnt_root);
		return 0;
	}
	parent = BPF_CORE_READ(dentry, d_parent);
	if (!parent)
		goto done;
	at = (walk->span.first - 1) & (PARTS - 1);
	part = &walk->scratch->parts[at];
	part->name = (__u64)BPF_CORE_READ(dentry, d_name.name);
	part->len = BPF_CORE_READ(dentry, d_name.hash_len) >> 32;
	if (parent == dentry) {
		char first = 0;

		/* The root of a file system is named "/"; a file outside any tree (memfd) is its
		 * own parent. */
		bpf_probe_read_kernel(&first, sizeof(first), (void *)part->name);
		if (first != '/')
			walk->span.first = at;
		goto done;
	}
	walk->span.first = at;
	walk->dentry = parent;
	return 0;
done:
	walk->done = true;
	return 1;
}

/*
 * Collect the parts of a path, leaf to root. With `cross`, up to the root of the mount namespace,
 * else within the file system. The verifier accepts the loop since bpf_loop() bounds it: it checks
 * the step once.
 */
static __always_inline struct span walk_up(struct scratch *scratch, struct vfsmount *vfsmount,
					   struct dentry *dentry, bool cross)
{
	struct walk walk = {
		.scratch = scratch,
		.dentry = dentry,
		.mount = (void *)vfsmount - bpf_core_field_offset(struct mount, mnt),
		.mnt_root = BPF_CORE_READ(vfsmount, mnt_root),
		.span = {.first = OPAQUE(PARTS_MIDDLE), .last = OPAQUE(PARTS_MIDDLE)},
		.cross = cross,
	};

	bpf_loop(PARTS_MIDDLE, walk_step, &walk, 0);
	walk.span.overflow = !walk.done;
	return walk.span;
}

struct split {
	struct scratch *scratch;
	struct span span;
	__u32 start;
	__u32 floor; /* what an absolute name cannot climb above */
	bool keep_dots;
};

static __always_inline void split_component(struct split *split, __u32 end)
{
	struct scratch *scratch = split->scratch;
	__u32 start = split->start & (PATH_BYTES - 1);
	__u32 len = end - split->start;
	char *name = &scratch->name[start];

	if (len == 0 || (len == 1 && name[0] == '.'))
		return;
	if (len == 2 && name[0] == '.' && name[1] == '.' &&
	    !(split->keep_dots && split->span.last > split->floor)) {
		if (split->span.last > split->span.first && split->span.last > split->floor)
			split->span.last--;
		return;
	}
	if (split->span.last >= PARTS) {
		split->span.overflow = 1;
		return;
	}
	scratch->parts[split->span.last & (PARTS - 1)].name = (__u64)name;
	scratch->parts[split->span.last & (PARTS - 1)].len = len;
	split->span.last++;
}

static long split_step(__u64 index, struct split *split)
{
	__u32 at = index & (PATH_BYTES - 1);

	if (split->scratch->name[at] == '/') {
		split_component(split, at);
		split->start = at + 1;
	}
	return 0;
}

/*
 * Append the components of scratch->name, `len` bytes, to the parts. Dots are resolved by their
 * letters, or kept behind a component that may be a link, where letters do not tell.
 */
static __always_inline struct span split_name(struct scratch *scratch, struct span base, __u32 len,
					      bool keep_dots)
{
	struct split split = {
		.scratch = scratch,
		.span = base,
		.start = OPAQUE(0),
		.floor = scratch->name[0] == '/' ? base.last : base.first,
		.keep_dots = keep_dots,
	};

	bpf_loop(len & (PATH_BYTES - 1), split_step, &split, 0);
	split_component(&split, len);
	return split.span;
}

static __always_inline __u32 literal(__u64 hash, enum literal_kind kind)
{
	struct literal_key key = {.hash = hash, .kind = kind, .generation = policy.generation};
	__u32 *actions = bpf_map_lookup_elem(&literals, &key);

	return actions ? *actions : 0;
}

struct hash {
	struct siphash state;
	const char *bytes;
};

static long hash_step(__u64 index, struct hash *hash)
{
	__u64 word;

	__builtin_memcpy(&word, hash->bytes + (index & (NAME_MAX / 8)) * 8, 8);
	siphash_word(&hash->state, word);
	return 0;
}

/*
 * Continue the state with `len` bytes, at most NAME_MAX, that are followed by 8 bytes which are not
 * looked at. A bounded `for` would leave the verifier with one state for each number of words, and
 * two of them with the product.
 */
static __always_inline void hash_component(struct hash *hash, __u32 len)
{
	__u64 word;

	bpf_loop(len / 8, hash_step, hash, 0);
	__builtin_memcpy(&word, hash->bytes + (len & (NAME_MAX & ~7)), 8);
	word &= (1ULL << ((len & 7) * 8)) - 1;
	siphash_word(&hash->state, word | (__u64)len << 56);
}

struct emit {
	struct scratch *scratch;
	struct text *text;
	struct hash hash;
	__u32 first;
	__u32 count;
};

static long emit_step(__u64 index, struct emit *emit)
{
	struct text *text = emit->text;
	struct part *part = &emit->scratch->parts[(emit->first + index) & (PARTS - 1)];
	__u32 len = part->len & NAME_MAX;
	__u32 at = text->len;
	__u32 left = emit->count - (__u32)index; /* components from this one on */
	__u32 depth = index + 1;

	if (part->len > NAME_MAX)
		text->truncated = 1;
	if (at >= PATH_BYTES || at + len + 1 > PATH_BYTES) {
		text->truncated = 1;
		return 1;
	}
	text->bytes[at] = '/';
	bpf_probe_read_kernel(&text->bytes[at + 1], len, (void *)part->name);
	text->len = at + 1 + len;
	if (left == 1) {
		struct hash base = {.bytes = &text->bytes[at + 1]};

		siphash_begin(&base.state, policy.siphash_key, 1);
		hash_component(&base, len);
		text->base_hash = siphash_digest(&base.state);
	}
	emit->hash.bytes = &text->bytes[at + 1];
	hash_component(&emit->hash, len);
	if (left == 1) {
		text->hash = siphash_digest(&emit->hash.state);
		return 0;
	}
	if (left == 2)
		text->dir_hash = siphash_digest(&emit->hash.state);
	if (policy.prefix_depths >> (depth < 63 ? depth : 63) & 1)
		text->interest |= literal(siphash_digest(&emit->hash.state), LITERAL_PREFIX);
	return 0;
}

/* Write the parts as a path into `text`, with hashes and the literals' interest. */
static __noinline int emit_text(struct scratch *scratch, struct text *text, const struct span *span)
{
	struct emit emit = {.scratch = scratch, .text = text, .first = span->first};
	__u64 root;

	emit.count = span->last - span->first;
	siphash_begin(&emit.hash.state, policy.siphash_key, 0);
	root = siphash_digest(&emit.hash.state);
	text->len = 0;
	text->truncated = span->overflow;
	text->components = emit.count;
	text->interest = policy.residual;
	text->hash = root;
	text->dir_hash = root;
	text->base_hash = 0;
	if (emit.count == 0) {
		text->bytes[0] = '/';
		text->len = 1;
	} else {
		if (policy.prefix_depths & 1)
			text->interest |= literal(root, LITERAL_PREFIX);
		bpf_loop(emit.count & (PARTS - 1), emit_step, &emit, 0);
	}
	text->interest |= literal(text->hash, LITERAL_EXACT);
	text->interest |= literal(text->base_hash, LITERAL_BASE);
	text->interest |= literal(text->dir_hash, LITERAL_DIR);
	if (text->truncated) {
		/* Its hashes are not those of the whole name, so only the daemon can tell, and
		 * nothing may be cached. */
		text->interest = policy.wanted;
		COUNT(path_truncated);
	}
	return 0;
}

#endif
