/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an instance's host and an SSD's host tell each other of one slice: two rows (row.h)
 * in the last STORAGE_CLAIM_BYTES of the area that has the instance's link.
 *
 *	CLAIM_AT	what the instance's host wants
 *	GRANT_AT	what became of that, by the SSD's host
 */
#ifndef STORAGE_CLAIM_H
#define STORAGE_CLAIM_H

#ifndef TIERMEM_CDEF
#include <stddef.h>
#include <stdint.h>
#endif

enum storage_claim_limits {
	STORAGE_CLAIM_BYTES = 4096,
	STORAGE_CLAIM_AT = 0,
	STORAGE_GRANT_AT = 2048,
};

enum storage_claim_wish {
	STORAGE_WANTS_NEW = 1,	/* a slice of zeros; the one it has got, if it has */
	STORAGE_WANTS_ITS = 2,	/* the one that it has data on, and no other */
	STORAGE_WANTS_NONE = 3,	/* any more: its data may go */
};

enum storage_grant_state {
	STORAGE_GRANT_WAIT = 1,		/* until the pod's table says so, or it is zeroed */
	STORAGE_GRANT_SERVED = 2,
	STORAGE_GRANT_GONE = 3,		/* there is none of that id */
	STORAGE_GRANT_NO_ROOM = 4,
	STORAGE_GRANT_TOO_MANY = 5,
	STORAGE_GRANT_WRONG_SIZE = 6,
};

struct storage_claim {
	uint64_t id;
	uint64_t bytes;
	uint32_t wish;
	uint32_t reserved;
};

struct storage_grant {
	uint64_t id;		/* of the claim that it answers */
	uint32_t state;
	uint32_t wish;		/* the same */
	uint32_t is_write_through;
	uint32_t reserved;
};

#ifndef TIERMEM_CDEF
_Static_assert(sizeof(struct storage_claim) == 24, "the layout is shared by hosts");
_Static_assert(sizeof(struct storage_grant) == 24, "the layout is shared by hosts");
#endif

#endif
