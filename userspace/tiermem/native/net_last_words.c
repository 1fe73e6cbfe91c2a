// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "net_last_words.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

#include "net_pulse.h"

struct net_last_words {
	pthread_mutex_t alive;
	uint32_t count;
	uint64_t offsets[NET_LAST_WORDS_LINKS];
};

static int make_mutex(pthread_mutex_t *mutex)
{
	pthread_mutexattr_t kind;
	int error;

	pthread_mutexattr_init(&kind);
	pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
	error = pthread_mutex_init(mutex, &kind);
	pthread_mutexattr_destroy(&kind);
	return error ? error : pthread_mutex_lock(mutex);
}

struct net_last_words *net_last_words_create(void)
{
	struct net_last_words *words = mmap(NULL, sizeof(*words), PROT_READ | PROT_WRITE,
					    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int error;

	if (words == MAP_FAILED)
		return NULL;
	error = make_mutex(&words->alive);
	if (!error)
		return words;
	munmap(words, sizeof(*words));
	errno = error;
	return NULL;
}

int net_last_words_add(struct net_last_words *words, uint64_t offset)
{
	const uint32_t count = words->count;

	if (count == NET_LAST_WORDS_LINKS)
		return -1;
	words->offsets[count] = offset;
	__atomic_store_n(&words->count, count + 1, __ATOMIC_RELEASE);
	return 0;
}

void net_last_words_remove(struct net_last_words *words, uint64_t offset)
{
	for (uint32_t i = 0; i < words->count; i++) {
		if (words->offsets[i] != offset)
			continue;
		/* One that dies in between names another link twice. */
		__atomic_store_n(&words->offsets[i], words->offsets[words->count - 1],
				 __ATOMIC_RELEASE);
		__atomic_store_n(&words->count, words->count - 1, __ATOMIC_RELEASE);
		return;
	}
}

void net_last_words_forget(struct net_last_words *words)
{
	__atomic_store_n(&words->count, 0, __ATOMIC_RELEASE);
}

void net_last_words_end(struct net_last_words *words)
{
	net_last_words_forget(words);
	pthread_mutex_unlock(&words->alive);
	munmap(words, sizeof(*words));
}

void net_last_words_speak(struct net_last_words *words, void *pool)
{
	/* EOWNERDEAD or not: what there is to say is in the list. */
	pthread_mutex_lock(&words->alive);
	for (uint32_t i = 0; i < words->count; i++)
		net_pulse_say_down((uint8_t *)pool + words->offsets[i]);
}
