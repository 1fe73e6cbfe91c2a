/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the plugin must know about an x86-64 instruction when it is translated.
 *
 * Bytes are read as 64-bit code. In 16- and 32-bit code (firmware, 32-bit
 * programs) an instruction can be classed wrongly; that costs accuracy there,
 * not correctness of what the guest does.
 */
#ifndef TIERMEM_INSN_CLASS_H
#define TIERMEM_INSN_CLASS_H

#include <stddef.h>
#include <stdint.h>

enum insn_class {
	INSN_PLAIN,
	/* Touches memory at most through %rsp with a constant offset: push, pop,
	 * call, ret, and any operand of the form disp(%rsp). */
	INSN_STACK_ONLY,
	/* rep movs, rep stos: may write whole lines without reading them first. */
	INSN_STRING,
	/* mov to %cr3: another address space. */
	INSN_SWITCHES_SPACE,
	/* invlpg, invpcid, mov to %cr0 or %cr4: mappings change in place. */
	INSN_CHANGES_MAPPING,
};

enum insn_class insn_classify(const uint8_t *bytes, size_t size);

#endif
