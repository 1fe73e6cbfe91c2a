/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What hosts of a pod tell each other about devices, as it lies in an area of the pool.
 *
 *	0			struct allocator_header, a row, by whoever makes it
 *	ALLOCATOR_HOSTS_AT	a block for each host, which that host alone writes:
 *				its report, a row (row.h), and its table, another
 *
 * A report is a struct allocator_report, its devices, its instances, then what devices of
 * others it cannot reach. A table is a struct allocator_table, its assignments, then its loans.
 */
#ifndef ALLOCATOR_LAYOUT_H
#define ALLOCATOR_LAYOUT_H

#ifndef TIERMEM_CDEF
#include <stddef.h>
#include <stdint.h>
#endif

enum allocator_limits {
	ALLOCATOR_HOSTS_AT = 4096,
	ALLOCATOR_HOSTS_MAX = 64,
	ALLOCATOR_DEVICES_MAX = 16,	/* of a host */
	ALLOCATOR_INSTANCES_MAX = 128,	/* of a host */
	ALLOCATOR_UNREACHABLE_MAX = 64,	/* devices, for one host */
	ALLOCATOR_VERSION = 3,
	ALLOCATOR_NO_HOST = 0xffff,	/* of a backup or a wish: there is none */
};

struct allocator_header {
	uint64_t magic;
	uint32_t version;
	uint32_t hosts;
};

/* Its row's sequence number is the host's heartbeat. */
struct allocator_report {
	uint32_t devices;
	uint32_t instances;
	uint32_t unreachable;
	uint32_t reserved;
	uint64_t life;		/* another each time that its daemon starts */
};

struct allocator_device {
	uint16_t number;
	uint8_t kind;		/* 1 NIC, 2 SSD */
	uint8_t health;		/* 1 healthy, 2 draining, 3 failed */
	uint16_t backup_host;
	uint16_t backup_number;
	uint64_t capacity;	/* bytes a second of a NIC, commands a second of an SSD */
	uint64_t measured;	/* the same */
	uint64_t bytes;		/* of an SSD, for slices */
	uint64_t room_bytes;	/* the largest slice that it has still room for */
};

struct allocator_instance {
	uint16_t number;
	uint8_t kind;
	uint8_t reserved;
	uint16_t wish_host;	/* the NIC that it was asked to be on; the SSD its data is on */
	uint16_t wish_number;
	uint64_t expected;	/* as the device's capacity */
	uint64_t bytes;		/* of its slice */
};

/* Of another host, to one for which it does not answer. */
struct allocator_unreachable {
	uint16_t host;
	uint16_t number;
	uint32_t reserved;
};

struct allocator_table {
	uint64_t term;		/* of the host whose row this is */
	uint64_t decided_term;	/* of the leader that decided it: an earlier one's, at first */
	uint64_t version;	/* of its tables of that term */
	uint32_t assignments;
	uint32_t loans;
};

struct allocator_assignment {
	uint16_t instance_host;
	uint16_t instance_number;
	uint16_t device_host;
	uint16_t device_number;
};

struct allocator_loan {
	uint16_t failed_host;
	uint16_t failed_number;
	uint16_t backup_host;
	uint16_t backup_number;
};

#ifndef TIERMEM_CDEF
#define ALLOCATOR_SIZE(name, bytes) \
	_Static_assert(sizeof(struct name) == (bytes), "the layout is shared by hosts")

ALLOCATOR_SIZE(allocator_header, 16);
ALLOCATOR_SIZE(allocator_report, 24);
ALLOCATOR_SIZE(allocator_device, 40);
ALLOCATOR_SIZE(allocator_instance, 24);
ALLOCATOR_SIZE(allocator_unreachable, 8);
ALLOCATOR_SIZE(allocator_table, 32);
ALLOCATOR_SIZE(allocator_assignment, 8);
ALLOCATOR_SIZE(allocator_loan, 8);
_Static_assert(offsetof(struct allocator_report, life) == 16, "the layout is shared by hosts");
_Static_assert(offsetof(struct allocator_device, capacity) == 8, "the layout is shared by hosts");
_Static_assert(offsetof(struct allocator_device, bytes) == 24, "the layout is shared by hosts");
_Static_assert(offsetof(struct allocator_instance, expected) == 8, "the layout is shared by hosts");
_Static_assert(offsetof(struct allocator_instance, bytes) == 16, "the layout is shared by hosts");
_Static_assert(offsetof(struct allocator_table, assignments) == 24, "the layout is shared by hosts");
#endif

#endif
