/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The backend: a NIC of this host, for the instances behind its links to frontends on
 * other hosts. One thread does all of it; the calls here are for one other thread.
 *
 * No peer is trusted: whose an address is, and that nobody sends with another's, is
 * decided here, and a peer that does not take its frames is the only one to lose some.
 */
#ifndef NET_BACKEND_H
#define NET_BACKEND_H

#ifndef TIERMEM_CDEF
#include <stdint.h>

#include "net_counters.h"
#include "net_macs.h"
#include "net_thread.h"
#endif

struct net_backend;

/* `nic_mac`: its own address, which no instance gets. NULL: out of memory. */
struct net_backend *net_backend_create(uint32_t nic_index, uint64_t nic_mac, struct net_pace pace);
int net_backend_start(struct net_backend *backend);
/* Stops it too. */
void net_backend_destroy(struct net_backend *backend);

/* The link must have been made, with that generation, and stays mapped until it is
 * removed. The caller is in the NIC's network namespace. Returns its number, or -1 with
 * errno: ENOENT where there is no such link, ENOSPC where there are NET_LINKS, else what
 * the kernel says of a raw socket on the NIC. */
int net_backend_add_link(struct net_backend *backend, void *base, uint64_t bytes,
			 uint64_t generation);
/* Tells the frontends at once whether the NIC can carry anything. */
void net_backend_set_nic(struct net_backend *backend, int is_down);
/* Its instances are gone, and its memory is not used any more, when this returns.
 * -1: there is none of that number. */
int net_backend_remove_link(struct net_backend *backend, uint32_t link);

/* All 0 where there is none of that number. */
struct net_counters net_backend_counters(struct net_backend *backend, uint32_t link);

#endif
