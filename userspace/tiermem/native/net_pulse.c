// SPDX-License-Identifier: GPL-2.0-or-later
#include "net_pulse.h"

#include <unistd.h>

enum { BEATS_AT = NET_LINK_PULSE_AT, NIC_AT = NET_LINK_PULSE_AT + 8 };

_Static_assert(offsetof(struct net_link_pulse, nic_is_down) == 8, "the layout is shared by hosts");

void net_pulse_say(struct host_memory *link, uint64_t beats, int nic_is_down)
{
	host_store(link, NIC_AT, (uint64_t)nic_is_down);
	host_store(link, BEATS_AT, beats);
	host_write_back(link, BEATS_AT);
	host_fence(link);
}

void net_pulse_say_down(void *link)
{
	struct host_memory memory = { .base = link };

	host_store(&memory, NIC_AT, 1);
	host_write_back(&memory, NIC_AT);
	host_fence(&memory);
}

static enum net_peer judge(const struct net_listener *listener, uint64_t nic_is_down)
{
	const uint64_t silence_ns = listener->watch.silence_ns;

	if (silence_ns && listener->quiet_ns >= silence_ns)
		return NET_PEER_SILENT;
	return nic_is_down ? NET_PEER_WITHOUT_NIC : NET_PEER_WELL;
}

void net_pulse_listen(struct net_listener *listener, struct host_memory *link, uint64_t now_ns)
{
	const uint64_t since_ns = now_ns - listener->looked_ns, one = 1;
	enum net_peer peer;
	uint64_t beats;

	if (since_ns < NET_PULSE_NS)
		return;
	listener->looked_ns = now_ns;
	host_invalidate(link, BEATS_AT);
	host_fence(link);
	beats = host_load(link, BEATS_AT);
	if (beats != listener->beats) {
		listener->beats = beats;
		listener->quiet_ns = 0;
	} else {
		/* Who did not look for long was stopped itself, and its peer perhaps with it. */
		listener->quiet_ns += since_ns < 2 * NET_PULSE_NS ? since_ns : 2 * NET_PULSE_NS;
	}
	peer = judge(listener, host_load(link, NIC_AT));
	if (peer == listener->peer)
		return;
	listener->peer = peer;
	/* Fails only where the bell rings already. */
	if (listener->watch.alarm_fd >= 0 &&
	    write(listener->watch.alarm_fd, &one, sizeof(one)) < 0)
		return;
}
