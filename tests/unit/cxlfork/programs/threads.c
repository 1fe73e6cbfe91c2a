// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Threads that add to one sum under a lock, each with its own variable and name; at
 * SIGUSR1 they stop and say what they have.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

enum { THREADS = 4 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t begun;
static __thread int own = -1;
static volatile sig_atomic_t is_over;
static uint64_t sum, turns;

static void end(int number)
{
	is_over = number;
}

static void *run(void *argument)
{
	int index = (int)(intptr_t)argument;
	char name[16], has[16];

	own = index;
	snprintf(name, sizeof(name), "adder-%d", index);
	prctl(PR_SET_NAME, name);
	pthread_barrier_wait(&begun);
	while (!is_over) {
		pthread_mutex_lock(&lock);
		sum += 3;
		turns++;
		pthread_mutex_unlock(&lock);
	}
	prctl(PR_GET_NAME, has);
	pthread_mutex_lock(&lock);
	printf("thread %d has %d and %s name\n", index, own, strcmp(name, has) ? "another" : "its");
	pthread_mutex_unlock(&lock);
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];

	signal(SIGUSR1, end);
	pthread_barrier_init(&begun, NULL, THREADS + 1);
	for (intptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, run, (void *)i);
	pthread_barrier_wait(&begun);
	puts("ready");
	fflush(stdout);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	puts(sum == turns * 3 ? "sum is right" : "sum is wrong");
	return 0;
}
