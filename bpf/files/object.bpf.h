/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What a dentry is: the members that a walk needs, and whether it is an object that the daemon
 * taught. */
#ifndef RAQIB_OBJECT_H
#define RAQIB_OBJECT_H

#include "files/maps.bpf.h"

#include <linux/magic.h>
#include <linux/stat.h>

/* Plain loads instead of calls. Since 6.2; weak, so that the programs load without it. Whether it
 * is there, a type tells that is newer by one version: libbpf before 1.2 cannot ask for functions.
 */
extern void *bpf_rdonly_cast(void *obj, __u32 btf_id) __ksym __weak;
#define HAS_RDONLY_CAST bpf_core_type_exists(struct bpf_rb_root)

/* Nearly every value is not in it: one load instead of a look-up. */
static __always_inline bool may_be_in(const struct filter *filter, __u64 bits)
{
	return filter->words[bits / 64 & (FILTER_BITS / 64 - 1)] >> (bits & 63) & 1;
}

/* What a walk reads of a dentry. */
struct step {
	__u64 parent;
	__u64 name;
	__u64 inode;
	__u64 ino;
	__u32 len;
};

static __always_inline void step_read(struct step *step, __u64 address)
{
	if (HAS_RDONLY_CAST) {
		struct dentry *dentry =
			bpf_rdonly_cast((void *)address, bpf_core_type_id_kernel(struct dentry));
		struct inode *inode = dentry->d_inode;

		step->parent = (__u64)dentry->d_parent;
		step->name = (__u64)dentry->d_name.name;
		step->len = dentry->d_name.len;
		step->inode = (__u64)inode;
		step->ino = inode->i_ino;
	} else {
		struct dentry *dentry = (void *)address;

		step->parent = (__u64)BPF_CORE_READ(dentry, d_parent);
		step->name = (__u64)BPF_CORE_READ(dentry, d_name.name);
		step->len = BPF_CORE_READ(dentry, d_name.len);
		step->inode = (__u64)BPF_CORE_READ(dentry, d_inode);
		step->ino = BPF_CORE_READ((struct inode *)step->inode, i_ino);
	}
}

static __always_inline struct object_key object_key_of(struct inode *inode)
{
	struct object_key key = {
		.inode = BPF_CORE_READ(inode, i_ino),
		.device = BPF_CORE_READ(inode, i_sb, s_dev),
		.generation = BPF_CORE_READ(inode, i_generation),
	};

	return key;
}

/* Remember the object, if the dentry is one and none was nearer to the leaf. */
static __always_inline void object_look(struct scratch *scratch, const struct step *step)
{
	struct progress *progress = &scratch->progress;

	if (!may_be_in(&object_filter, step->ino) || progress->has_object || !step->inode)
		return;
	progress->object = object_key_of((struct inode *)step->inode);
	if (!bpf_map_lookup_elem(&objects, &progress->object))
		return;
	progress->has_object = 1;
	progress->below = scratch->span.first;
}

/* The file that an overlay shows, in the topmost of its lower layers that has it, else in the upper
 * one: what is opened for writing has become a copy by now. Null if it is no overlay's. */
static __always_inline struct dentry *overlay_real(struct dentry *dentry)
{
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);
	struct ovl_inode___path *older;
	struct dentry *lower = NULL;
	struct ovl_inode *own;
	struct ovl_entry *entry;

	if (!inode || !bpf_core_type_exists(struct ovl_inode) ||
	    BPF_CORE_READ(inode, i_sb, s_magic) != OVERLAYFS_SUPER_MAGIC)
		return NULL;
	own = (void *)inode - bpf_core_field_offset(struct ovl_inode, vfs_inode);
	older = (void *)own;
	if (bpf_core_field_exists(own->oe)) {
		entry = BPF_CORE_READ(own, oe);
		if (BPF_CORE_READ(entry, __numlower))
			lower = BPF_CORE_READ(entry, __lowerstack[0].dentry);
	} else if (bpf_core_field_exists(older->lowerpath.dentry)) {
		lower = BPF_CORE_READ(older, lowerpath.dentry);
	}
	return lower ? lower : BPF_CORE_READ(own, __upperdentry);
}

#endif
