/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is to be said of a process that was killed: in which links its NICs carry nothing.
 *
 * The process holds a robust mutex in memory that it shares with one it has forked, which
 * waits for it. When the holder dies the kernel lets the other go on at once; a pipe would
 * be closed only after all of the dead one's memory was given back, tens of milliseconds later.
 */
#ifndef NET_LAST_WORDS_H
#define NET_LAST_WORDS_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#endif

enum { NET_LAST_WORDS_LINKS = 256 };

struct net_last_words;

/* Before the fork; this thread is the one whose death is waited for. NULL with errno. */
struct net_last_words *net_last_words_create(void);

/* Links, by where they begin in the pool; for one thread. -1: there are too many. */
int net_last_words_add(struct net_last_words *words, uint64_t offset);
void net_last_words_remove(struct net_last_words *words, uint64_t offset);

/* There is nothing to say, whoever dies. */
void net_last_words_forget(struct net_last_words *words);

/* The same, for good; by the thread that created it. */
void net_last_words_end(struct net_last_words *words);

/* The other process: waits until its parent's thread is dead, and says so in the links of the
 * pool that begins there; or until there is nothing to say. */
void net_last_words_speak(struct net_last_words *words, void *pool);

#endif
