/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* From dentries and names to absolute paths, their hashes, and what the literals of the recipes say
 * of them. */
#ifndef RAQIB_PATH_H
#define RAQIB_PATH_H

#include "files/object.bpf.h"

struct walk {
	struct scratch *scratch;
};

static long walk_step(__u64 index, struct walk *walk)
{
	struct scratch *scratch = walk->scratch;
	struct progress *progress = &scratch->progress;
	struct part *part;
	struct step step;
	__u32 at;

	step_read(&step, progress->dentry);
	object_look(scratch, &step);
	if (progress->cross && progress->dentry == progress->mnt_root) {
		struct mount *mount = (void *)progress->mount;
		struct mount *above = BPF_CORE_READ(mount, mnt_parent);

		if (above == mount || !above)
			goto done;
		progress->dentry = (__u64)BPF_CORE_READ(mount, mnt_mountpoint);
		progress->mount = (__u64)above;
		progress->mnt_root = (__u64)BPF_CORE_READ(above, mnt.mnt_root);
		return 0;
	}
	if (!step.parent)
		goto done;
	if (!scratch->span.first) {
		scratch->span.overflow = 1;
		if (step.parent == progress->dentry)
			goto done;
		progress->dentry = step.parent;
		return 0;
	}
	at = (scratch->span.first - 1) & (PARTS - 1);
	part = &scratch->parts[at];
	part->name = step.name;
	part->len = step.len;
	if (step.parent == progress->dentry) {
		char first = 0;

		/* The root of a file system is named "/"; a file outside any tree (memfd) is its
		 * own parent. */
		bpf_probe_read_kernel(&first, sizeof(first), (void *)part->name);
		if (first != '/')
			scratch->span.first = at;
		goto done;
	}
	scratch->span.first = at;
	progress->dentry = step.parent;
	return 0;
done:
	progress->done = 1;
	return 1;
}

/*
 * Collect the parts of a path, leaf to root, in scratch->span. With `cross`, up to the root of the
 * mount namespace, else within the file system. The verifier accepts the loop since bpf_loop()
 * bounds it: it checks the step once.
 */
static __always_inline void walk_up(struct scratch *scratch, struct vfsmount *vfsmount,
				    struct dentry *dentry, bool cross)
{
	struct progress *progress = &scratch->progress;
	struct walk walk = {.scratch = scratch};

	progress->dentry = (__u64)dentry;
	progress->mount = (__u64)vfsmount - bpf_core_field_offset(struct mount, mnt);
	progress->mnt_root = (__u64)BPF_CORE_READ(vfsmount, mnt_root);
	progress->cross = cross;
	progress->done = 0;
	progress->has_object = 0;
	scratch->span.first = PARTS_MIDDLE;
	scratch->span.last = PARTS_MIDDLE;
	scratch->span.overflow = 0;
	bpf_loop(STEPS_MOST, walk_step, &walk, 0);
	scratch->span.overflow |= !progress->done;
}

static __always_inline void split_component(struct scratch *scratch, __u32 end)
{
	struct progress *progress = &scratch->progress;
	struct span *span = &scratch->span;
	__u32 start = progress->start & (PATH_BYTES - 1);
	__u32 len = end - progress->start;
	char *name = &scratch->name[start];

	if (len == 0 || (len == 1 && name[0] == '.'))
		return;
	if (len == 2 && name[0] == '.' && name[1] == '.' &&
	    !(progress->keep_dots && span->last > progress->floor)) {
		if (span->last > span->first && span->last > progress->floor)
			span->last--;
		return;
	}
	if (span->last >= PARTS) {
		span->overflow = 1;
		return;
	}
	scratch->parts[span->last & (PARTS - 1)].name = (__u64)name;
	scratch->parts[span->last & (PARTS - 1)].len = len;
	span->last++;
}

static long split_step(__u64 index, struct walk *walk)
{
	struct scratch *scratch = walk->scratch;
	__u32 at = index & (PATH_BYTES - 1);

	if (scratch->name[at] == '/') {
		split_component(scratch, at);
		scratch->progress.start = at + 1;
	}
	return 0;
}

/*
 * Append the components of scratch->name, `len` bytes, to the parts. Dots are resolved by their
 * letters, or kept behind a component that may be a link, where letters do not tell.
 */
static __always_inline void split_name(struct scratch *scratch, __u32 len, bool keep_dots)
{
	struct progress *progress = &scratch->progress;
	struct walk walk = {.scratch = scratch};

	progress->start = 0;
	progress->floor = scratch->name[0] == '/' ? scratch->span.last : scratch->span.first;
	progress->keep_dots = keep_dots;
	bpf_loop(len & (PATH_BYTES - 1), split_step, &walk, 0);
	split_component(scratch, len);
}

/* No parts: the name in the scratch is all of the path. */
static __always_inline void span_clear(struct scratch *scratch)
{
	scratch->span.first = PARTS_MIDDLE;
	scratch->span.last = PARTS_MIDDLE;
	scratch->span.overflow = 0;
}

static __always_inline __u32 literal(__u64 hash, enum literal_kind kind)
{
	struct literal_key key = {.hash = hash, .kind = kind, .generation = policy.generation};
	__u32 *actions;

	if (!may_be_in(&literal_filter, hash >> (kind - 1) * 16))
		return 0;
	actions = bpf_map_lookup_elem(&literals, &key);
	return actions ? *actions : 0;
}

/* Processors load what is not aligned; from memcpy() the compiler would make a load for each byte.
 */
static __always_inline __u64 word_at(const char *bytes)
{
	return *(const __u64 *)bytes;
}

struct hash {
	struct siphash *state;
	const char *bytes;
};

static long hash_step(__u64 index, struct hash *hash)
{
	siphash_word(hash->state, word_at(hash->bytes + (index & (NAME_MAX / 8)) * 8));
	return 0;
}

/*
 * Continue the state with `len` bytes, at most NAME_MAX, that are followed by 8 bytes which are not
 * looked at. A bounded `for` would leave the verifier with one state for each number of words, and
 * two of them with the product.
 */
static __always_inline void hash_component(struct siphash *state, const char *bytes, __u32 len)
{
	struct hash hash = {.state = state, .bytes = bytes};
	__u64 word;

	if (len >= 8)
		bpf_loop(len / 8, hash_step, &hash, 0);
	word = word_at(bytes + (len & (NAME_MAX & ~7)));
	word &= (1ULL << ((len & 7) * 8)) - 1;
	siphash_word(state, word | (__u64)len << 56);
}

struct emit {
	struct scratch *scratch;
	struct text *text;
};

static long emit_step(__u64 index, struct emit *emit)
{
	struct scratch *scratch = emit->scratch;
	struct progress *progress = &scratch->progress;
	struct text *text = emit->text;
	struct part *part = &scratch->parts[(progress->from + index) & (PARTS - 1)];
	__u32 len = part->len & NAME_MAX;
	__u32 at = text->len;
	__u32 left = progress->count - (__u32)index; /* components from this one on */
	__u32 depth = progress->above + index + 1;

	if (part->len > NAME_MAX)
		text->truncated = 1;
	if (at >= PATH_BYTES || at + len + 1 > PATH_BYTES) {
		text->truncated = 1;
		return 1;
	}
	text->bytes[at] = '/';
	bpf_probe_read_kernel(&text->bytes[at + 1], len, (void *)part->name);
	text->len = at + 1 + len;
	hash_component(&progress->whole, &text->bytes[at + 1], len);
	if (left == 1) {
		siphash_begin(&progress->component, policy.siphash_key, 1);
		hash_component(&progress->component, &text->bytes[at + 1], len);
		text->base_hash = siphash_digest(&progress->component);
		text->hash = siphash_digest(&progress->whole);
		return 0;
	}
	if (left == 2)
		text->dir_hash = siphash_digest(&progress->whole);
	if (policy.prefix_depths >> (depth < 63 ? depth : 63) & 1)
		text->above |= literal(siphash_digest(&progress->whole), LITERAL_PREFIX);
	return 0;
}

/* What the literals say, when all of a name is known. */
static __always_inline void text_finish(struct text *text)
{
	text->interest = policy.residual | text->above;
	text->interest |= literal(text->hash, LITERAL_EXACT);
	text->interest |= literal(text->base_hash, LITERAL_BASE);
	text->interest |= literal(text->dir_hash, LITERAL_DIR);
	if (text->truncated) {
		/* Its hashes are not those of the whole name, so only the daemon can tell, and
		 * nothing may be cached. */
		text->interest = policy.wanted;
		COUNT(path_truncated);
	}
}

/*
 * Write the parts from `from` on into `text`, which has what they lie below: its text, its hash
 * (all three of it, for the case that there are no parts), how many components that is, and what
 * literals say of the directories above. progress->whole has the state of its hash.
 */
static __always_inline void emit_parts(struct scratch *scratch, struct text *text, __u32 from)
{
	struct emit emit = {.scratch = scratch, .text = text};
	struct progress *progress = &scratch->progress;
	__u32 depth = text->components;

	progress->from = from;
	progress->above = depth;
	progress->count = scratch->span.last - from;
	text->components = depth + progress->count;
	text->truncated = scratch->span.overflow;
	if (progress->count) {
		text->dir_hash = text->hash;
		if (policy.prefix_depths >> (depth < 63 ? depth : 63) & 1)
			text->above |= literal(text->hash, LITERAL_PREFIX);
		bpf_loop(progress->count & (PARTS - 1), emit_step, &emit, 0);
	} else if (!text->len) {
		text->bytes[0] = '/';
		text->len = 1;
	}
	text_finish(text);
}

/* Write the parts in scratch->span as a path into `text`, with hashes and the literals' interest.
 */
static __noinline int emit_text(struct scratch *scratch, struct text *text)
{
	siphash_begin(&scratch->progress.whole, policy.siphash_key, 0);
	text->len = 0;
	text->components = 0;
	text->above = 0;
	text->hash = siphash_digest(&scratch->progress.whole);
	text->dir_hash = text->hash;
	text->base_hash = 0;
	emit_parts(scratch, text, scratch->span.first);
	return 0;
}

struct compare {
	const char *a;
	const char *b;
	__u32 len;
	bool differ;
};

/* Whether 8 bytes of the two differ, from `at` on. */
static __always_inline bool compare_word(struct compare *compare, __u32 at)
{
	__u32 left = compare->len - at;
	__u64 differ = word_at(compare->a + at) ^ word_at(compare->b + at);

	if (left < 8)
		differ &= (1ULL << ((left & 7) * 8)) - 1;
	compare->differ = differ != 0;
	return compare->differ;
}

static long compare_step(__u64 index, struct compare *compare)
{
	return compare_word(compare, (index & (PATH_BYTES / 8 - 1)) * 8);
}

static long compare_object_step(__u64 index, struct compare *compare)
{
	return compare_word(compare, (index & (OBJECT_BYTES / 8 - 1)) * 8);
}

static __always_inline bool same_text(const char *a, const char *b, __u32 len)
{
	struct compare compare = {.a = a, .b = b, .len = len};

	bpf_loop((len + 7) / 8, compare_step, &compare, 0);
	return !compare.differ;
}

/* The object that the last walk met, unless the name went up beyond it again. */
static __always_inline struct object *object_met(struct scratch *scratch)
{
	struct progress *progress = &scratch->progress;

	if (!progress->has_object || scratch->span.last < progress->below)
		return NULL;
	return bpf_map_lookup_elem(&objects, &progress->object);
}

/* Whether the path that was emitted last is what the host calls the file, too. */
static __noinline bool is_host_path(struct scratch *scratch)
{
	struct object *object = object_met(scratch);
	const struct text *path = &scratch->path;
	struct compare compare = {};
	__u64 len;

	if (!object)
		return true;
	if (path->components != object->components + scratch->span.last - scratch->progress.below)
		return false;
	/* Of the root nothing is left to compare. */
	len = AT_MOST(object->len, OBJECT_BYTES);
	if (len && (path->len < len || (path->len > len && path->bytes[len] != '/')))
		return false;
	compare.a = path->bytes;
	compare.b = object->text;
	compare.len = len;
	bpf_loop((len + 7) / 8, compare_object_step, &compare, 0);
	return !compare.differ;
}

/* Write what the host calls the file into `text`: the object that was met, and the parts below it.
 * False if there is none. */
static __noinline bool emit_host(struct scratch *scratch, struct text *text)
{
	struct siphash *whole = &scratch->progress.whole;
	struct object *object = object_met(scratch);

	if (!object)
		return false;
	whole->v0 = object->state[0];
	whole->v1 = object->state[1];
	whole->v2 = object->state[2];
	whole->v3 = object->state[3];
	text->len = AT_MOST(object->len, OBJECT_BYTES);
	bpf_probe_read_kernel(text->bytes, text->len, object->text);
	text->components = object->components;
	text->above = object->generation == policy.generation ? object->above : policy.wanted;
	text->hash = object->hash;
	text->dir_hash = object->dir_hash;
	text->base_hash = object->base_hash;
	emit_parts(scratch, text, scratch->progress.below);
	return true;
}

#endif
