// SPDX-License-Identifier: GPL-2.0-or-later
#include "arena.h"

#include <linux/elf.h>
#include <linux/errno.h>
#include <linux/mman.h>

#include "bytes.h"
#include "kernels_own.h"
#include "pool_map.h"
#include "restorer.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

extern const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));

/* Code and constants: what is mapped to be executed, the file's begin included. */
static uint64_t code_bytes(void)
{
	const Elf64_Phdr *parts = (const void *)((uintptr_t)&__ehdr_start + __ehdr_start.e_phoff);

	for (int i = 0; i < __ehdr_start.e_phnum; i++)
		if (parts[i].p_type == PT_LOAD && parts[i].p_flags & PF_X)
			return parts[i].p_vaddr + parts[i].p_filesz;
	return 0;
}

/* The image names a free place, which may be taken here by the restorer itself. */
static int64_t claim_arena(const struct restorer *r)
{
	int64_t result = call(mmap, r->image->gap_at, ARENA_BYTES, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1,
			      0);

	return result > 0 ? result : claim_free_space(r->image, ARENA_BYTES);
}

static int copy_into_arena(struct restorer *r)
{
	uint64_t code = code_bytes(), at = r->arena.start;
	long result;

	if (code == 0 || code > ARENA_STATE ||
	    kernels_own_bytes(&r->own) > ARENA_THREAD_STACK_END / 2 - ARENA_ASIDE)
		return -ENOEXEC;
	/* It is as large as a huge page, of which little is used. */
	call(madvise, at, ARENA_BYTES, MADV_NOHUGEPAGE);
	result = call(mprotect, at, ARENA_BYTES, PROT_READ | PROT_WRITE);
	if (result < 0)
		return (int)result;
	memcpy((void *)(at + ARENA_CODE), &__ehdr_start, code);
	result = put_kernels_own_aside(&r->own, at + ARENA_ASIDE);
	if (result < 0)
		return (int)result;
	memcpy((void *)(at + ARENA_STATE), r, sizeof(*r));
	return (int)call(mprotect, at + ARENA_CODE, ARENA_STATE, PROT_READ | PROT_EXEC);
}

int enter_arena(struct restorer *r, void (*then)(struct restorer *))
{
	uint64_t into = (uintptr_t)then - (uintptr_t)&__ehdr_start;
	int64_t at = claim_arena(r);
	int result;

	if (at < 0)
		return failed(r, RESTORE_STEP_PLACE, ARENA_BYTES, at);
	r->arena = (struct arena){ (uint64_t)at, ARENA_BYTES };
	result = copy_into_arena(r);
	if (result < 0)
		return failed(r, RESTORE_STEP_PLACE, ARENA_BYTES, result);
	__asm__ volatile("mov %0, %%rsp\n"
			 "xor %%ebp, %%ebp\n"
			 "call *%1\n"
			 :
			 : "r"(at + ARENA_STACK_END), "r"(at + ARENA_CODE + (int64_t)into),
			   "D"(at + ARENA_STATE)
			 : "memory");
	__builtin_unreachable();
}
