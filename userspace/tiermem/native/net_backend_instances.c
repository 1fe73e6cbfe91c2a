// SPDX-License-Identifier: GPL-2.0-or-later
/* Which instances a backend serves: one owner for each address, known to the NIC. */
#include "net_backend_link.h"
#include "net_frame.h"
#include "net_socket.h"

static int update_filter(const struct net_backend_link *link)
{
	uint64_t macs[NET_INSTANCES];
	uint32_t count = 0;

	for (uint32_t instance = 0; instance < NET_INSTANCES; instance++) {
		if (link->macs[instance])
			macs[count++] = link->macs[instance];
	}
	return net_socket_receive_for(link->socket, macs, count);
}

int net_instance_add(struct net_backend *backend, struct net_backend_link *link,
		     uint32_t instance, uint64_t mac)
{
	const struct net_owner owner = { .mac = mac, .link = link->number, .instance = instance };

	if (link->macs[instance] || !net_mac_is_local(mac) || mac == backend->nic_mac ||
	    net_macs_add(&backend->macs, owner) < 0)
		return -1;
	link->macs[instance] = mac;
	if (update_filter(link) == 0) {
		net_membership_add(&backend->membership, mac);
		return 0;
	}
	link->macs[instance] = 0;
	net_macs_remove(&backend->macs, mac);
	return -1;
}

int net_instance_remove(struct net_backend *backend, struct net_backend_link *link,
			uint32_t instance, uint64_t mac)
{
	if (!mac || link->macs[instance] != mac)
		return -1;
	link->macs[instance] = 0;
	net_macs_remove(&backend->macs, mac);
	net_membership_remove(&backend->membership, mac);
	/* Fails for lack of memory at most, and then only too much comes in. */
	update_filter(link);
	return 0;
}
