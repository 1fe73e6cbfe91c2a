// SPDX-License-Identifier: GPL-2.0-or-later
#include "insn_class.h"

#include <stdbool.h>

enum rex_bits { REX_B = 1, REX_X = 2 };

/* An instruction's bytes behind its legacy prefixes and REX. */
struct decoded {
	const uint8_t *at;
	const uint8_t *end;
	uint8_t rex;
	bool repeats;
};

static bool is_legacy_prefix(uint8_t byte)
{
	switch (byte) {
	case 0x26: case 0x2e: case 0x36: case 0x3e:
	case 0x64: case 0x65: case 0x66: case 0x67:
	case 0xf0: case 0xf2: case 0xf3:
		return true;
	default:
		return false;
	}
}

/* %fs and %gs move an operand away from the stack. */
static bool skip_prefixes(struct decoded *d)
{
	while (d->at < d->end && is_legacy_prefix(*d->at)) {
		if (*d->at == 0x64 || *d->at == 0x65 || *d->at == 0x67)
			return false;
		d->repeats |= *d->at == 0xf2 || *d->at == 0xf3;
		d->at++;
	}
	if (d->at < d->end && (*d->at & 0xf0) == 0x40)
		d->rex = *d->at++;
	return d->at < d->end;
}

/* One-byte opcodes with a ModRM byte and no memory operand besides it. */
static bool has_modrm(uint8_t opcode)
{
	if (opcode < 0x40)
		return (opcode & 7) < 4;
	return opcode == 0x63 || opcode == 0x69 || opcode == 0x6b ||
	       (opcode >= 0x80 && opcode <= 0x8f) || opcode == 0xc0 ||
	       opcode == 0xc1 || opcode == 0xc6 || opcode == 0xc7 ||
	       (opcode >= 0xd0 && opcode <= 0xd3) ||
	       (opcode >= 0xd8 && opcode <= 0xdf) || opcode == 0xf6 ||
	       opcode == 0xf7 || opcode == 0xfe || opcode == 0xff;
}

/* Two-byte opcodes (0f xx) with a ModRM byte: moves, SSE, cmov, setcc, movzx... */
static bool has_modrm_0f(uint8_t opcode)
{
	return (opcode >= 0x10 && opcode <= 0x17) || (opcode >= 0x28 && opcode <= 0x2f) ||
	       (opcode >= 0x40 && opcode <= 0x76) || (opcode >= 0x7c && opcode <= 0x7f) ||
	       (opcode >= 0x90 && opcode <= 0x9f) || opcode == 0xa3 || opcode == 0xab ||
	       opcode == 0xaf || opcode == 0xb0 || opcode == 0xb1 ||
	       (opcode >= 0xb6 && opcode <= 0xc7) || opcode >= 0xd0;
}

static bool modrm_is_register(const struct decoded *d)
{
	return d->at < d->end && (*d->at & 0xc0) == 0xc0;
}

/* ModRM and SIB name %rsp as base and no index. */
static bool modrm_is_rsp(const struct decoded *d)
{
	if (d->end - d->at < 2 || (d->at[0] & 0xc0) == 0xc0 || (d->at[0] & 7) != 4)
		return false;
	return (d->at[1] & 0x3f) == 0x24 && !(d->rex & (REX_B | REX_X));
}

static bool is_stack_opcode(const struct decoded *d, uint8_t opcode)
{
	if (opcode >= 0x50 && opcode <= 0x5f)	/* push, pop */
		return true;
	switch (opcode) {
	case 0x68: case 0x6a:	/* push immediate */
	case 0x9c: case 0x9d:	/* pushf, popf */
	case 0xc2: case 0xc3:	/* ret */
	case 0xc9:		/* leave */
	case 0xe8:		/* call */
		return true;
	case 0xff:		/* call or push of a register */
		return modrm_is_register(d);
	default:
		return false;
	}
}

static bool is_string_store(uint8_t opcode)
{
	return opcode == 0xa4 || opcode == 0xa5 || opcode == 0xaa || opcode == 0xab;
}

static enum insn_class classify_0f(struct decoded *d)
{
	uint8_t opcode, reg;

	if (d->end - d->at < 2)
		return INSN_PLAIN;
	opcode = *d->at++;
	reg = (*d->at >> 3) & 7;
	if (opcode == 0x22)
		return reg == 3 ? INSN_SWITCHES_SPACE : INSN_CHANGES_MAPPING;
	if (opcode == 0x01 && reg == 7 && !modrm_is_register(d))
		return INSN_CHANGES_MAPPING;
	if (opcode == 0x38 && *d->at == 0x82)
		return INSN_CHANGES_MAPPING;
	if (has_modrm_0f(opcode) && modrm_is_rsp(d))
		return INSN_STACK_ONLY;
	return INSN_PLAIN;
}

enum insn_class insn_classify(const uint8_t *bytes, size_t size)
{
	struct decoded d = { bytes, bytes + size, 0, false };
	uint8_t opcode;

	if (!skip_prefixes(&d))
		return INSN_PLAIN;
	opcode = *d.at++;
	if (opcode == 0x0f)
		return classify_0f(&d);
	if (d.repeats && is_string_store(opcode))
		return INSN_STRING;
	if (is_stack_opcode(&d, opcode))
		return INSN_STACK_ONLY;
	if (has_modrm(opcode) && modrm_is_rsp(&d))
		return INSN_STACK_ONLY;
	return INSN_PLAIN;
}
