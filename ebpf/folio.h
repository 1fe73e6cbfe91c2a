/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a probe may ask of a folio: its node and its size. A folio's first word
 * is its flags on every kernel we run on (a plain long up to 6.17, wrapped in
 * a struct since), so it is read as a word and no field is named.
 *
 * The loader defines STRUCT_PAGE_BYTES and PG_HEAD_BIT: the headers that have
 * them take several times as long to compile as all the rest.
 */
#ifndef TIERMEM_FOLIO_H
#define TIERMEM_FOLIO_H

/* include/linux/page-flags-layout.h: the node is in the top bits of the flags. */
#ifndef CONFIG_SPARSEMEM_VMEMMAP
#error "page flags may begin with a section: CONFIG_SPARSEMEM_VMEMMAP is needed"
#endif
#define FOLIO_NODE_SHIFT (64 - CONFIG_NODES_SHIFT)

static __always_inline u64 folio_flags_word(const void *folio)
{
	u64 flags = 0;

	bpf_probe_read_kernel(&flags, sizeof(flags), folio);
	return flags;
}

static __always_inline u32 folio_node(const void *folio)
{
	return folio_flags_word(folio) >> FOLIO_NODE_SHIFT;
}

static __always_inline u64 folio_pages(const void *folio)
{
	u64 tail_flags = 0;

	if (!(folio_flags_word(folio) & (1UL << PG_HEAD_BIT)))
		return 1;
	/* the first tail page's flags hold the order in their low byte */
	bpf_probe_read_kernel(&tail_flags, sizeof(tail_flags),
			      folio + STRUCT_PAGE_BYTES);
	return 1ULL << (tail_flags & 0x3f);
}

#endif
