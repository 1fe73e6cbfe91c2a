/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread of a frontend or backend: one round of work after the other. While there
 * is work it spins; without, it sleeps longer and longer, since a peer's messages ring
 * no bell. Between rounds other threads may change what the rounds work on.
 */
#ifndef NET_THREAD_H
#define NET_THREAD_H

#ifndef TIERMEM_CDEF
#include <pthread.h>
#include <stdint.h>

#include "channel_wait.h"
#include "round_lock.h"
#endif

struct net_pace {
	uint64_t spin_ns;		/* without work, before it sleeps */
	uint64_t sleep_max_ns;		/* at once, more than 0 */
};

enum {
	/* While it spins, so many devices at most are read without asking poll first. */
	NET_READ_STRAIGHT = 4,
};

#ifndef TIERMEM_CDEF
struct net_thread {
	/* Does what there is to do, and may wait for devices so long; whether there was any. */
	int (*round)(void *engine, uint64_t wait_ns);
	void *engine;
	struct channel_pace pace;
	pthread_t thread;
	struct round_lock lock;		/* of all that the rounds work on */
	int is_stopping, is_running;
};

void net_thread_init(struct net_thread *thread, int (*round)(void *engine, uint64_t wait_ns),
		     void *engine, struct net_pace pace);
/* 0 or an errno. */
int net_thread_start(struct net_thread *thread);
/* Whether it runs or not; what it works on stays. */
void net_thread_stop(struct net_thread *thread);

/* No round goes on between these. */
void net_thread_pause(struct net_thread *thread);
void net_thread_resume(struct net_thread *thread);
#endif

#endif
