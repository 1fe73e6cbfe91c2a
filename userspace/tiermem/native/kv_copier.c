// SPDX-License-Identifier: GPL-2.0-or-later
#define _GNU_SOURCE
#include "kv_copier.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#define NS_PER_S 1000000000ull

struct kv_copier {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more, done;
	struct kv_copy *first, **last;	/* what is to be done; `last` is where the next goes */
	uint64_t submitted, finished;
	int is_stopping;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void do_copy(struct kv_copy *copy)
{
	const uint64_t begin_ns = now_ns();

	if (copy->is_load)
		kv_blocks_load(copy->pieces, copy->count, copy->piece_bytes, copy->pace);
	else
		kv_blocks_save(copy->pieces, copy->count, copy->piece_bytes, copy->pace);
	copy->took_ns = now_ns() - begin_ns;
}

static struct kv_copy *take(struct kv_copier *copier)
{
	struct kv_copy *copy;

	while (!copier->first && !copier->is_stopping)
		pthread_cond_wait(&copier->more, &copier->lock);
	copy = copier->first;
	if (!copy)
		return NULL;
	copier->first = copy->next;
	if (!copier->first)
		copier->last = &copier->first;
	return copy;
}

/* Whoever submits goes on computing: where there is no idle processor, the thread waits. */
static void wake_politely(void)
{
	const struct sched_param none = { 0 };

	/* Where it is not allowed, copies are made as ever. */
	(void)sched_setscheduler(0, SCHED_BATCH, &none);
}

static void *run(void *given)
{
	struct kv_copier *copier = given;
	struct kv_copy *copy;

	wake_politely();
	pthread_mutex_lock(&copier->lock);
	while ((copy = take(copier))) {
		pthread_mutex_unlock(&copier->lock);
		do_copy(copy);
		pthread_mutex_lock(&copier->lock);
		copier->finished++;
		pthread_cond_broadcast(&copier->done);
	}
	pthread_mutex_unlock(&copier->lock);
	return NULL;
}

struct kv_copier *kv_copier_start(const char *name)
{
	struct kv_copier *copier = calloc(1, sizeof(*copier));
	int error;

	if (!copier)
		return NULL;
	pthread_mutex_init(&copier->lock, NULL);
	pthread_cond_init(&copier->more, NULL);
	pthread_cond_init(&copier->done, NULL);
	copier->last = &copier->first;
	error = pthread_create(&copier->thread, NULL, run, copier);
	if (error) {
		free(copier);
		errno = error;
		return NULL;
	}
	pthread_setname_np(copier->thread, name);
	return copier;
}

void kv_copier_stop(struct kv_copier *copier)
{
	pthread_mutex_lock(&copier->lock);
	copier->is_stopping = 1;
	pthread_cond_signal(&copier->more);
	pthread_mutex_unlock(&copier->lock);
	pthread_join(copier->thread, NULL);
	pthread_cond_destroy(&copier->more);
	pthread_cond_destroy(&copier->done);
	pthread_mutex_destroy(&copier->lock);
	free(copier);
}

uint64_t kv_copier_submit(struct kv_copier *copier, struct kv_copy *copy)
{
	uint64_t number;

	copy->next = NULL;
	pthread_mutex_lock(&copier->lock);
	*copier->last = copy;
	copier->last = &copy->next;
	number = ++copier->submitted;
	pthread_mutex_unlock(&copier->lock);
	pthread_cond_signal(&copier->more);
	return number;
}

void kv_copier_wait(struct kv_copier *copier, uint64_t number)
{
	pthread_mutex_lock(&copier->lock);
	while (copier->finished < number)
		pthread_cond_wait(&copier->done, &copier->lock);
	pthread_mutex_unlock(&copier->lock);
}

uint64_t kv_copier_done(struct kv_copier *copier)
{
	uint64_t finished;

	pthread_mutex_lock(&copier->lock);
	finished = copier->finished;
	pthread_mutex_unlock(&copier->lock);
	return finished;
}
