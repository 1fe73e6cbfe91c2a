/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a frontend knows of its link and its tags: storage_frontend.c sends commands,
 * storage_results.c takes what comes back. */
#ifndef STORAGE_FRONTEND_STATE_H
#define STORAGE_FRONTEND_STATE_H

#include "storage_frontend.h"

enum storage_tag_state {
	TAG_FREE,
	TAG_HELD,	/* by the caller */
	TAG_PENDING,
	TAG_LOST,	/* failed, and the backend may still use its buffer */
};

struct storage_tag {
	enum storage_tag_state state;
	uint64_t begin_ns;
	struct storage_command command;
};

struct storage_frontend {
	struct storage_link link;
	struct channel_sender commands;
	struct channel_receiver completions;
	struct channel_pace pace;
	struct storage_frontend_counters counters;
	uint64_t timeout_ns, looked_ns;
	uint64_t serial;
	uint32_t pending, lost, free;
	struct storage_tag tags[STORAGE_TAGS_MAX];
	uint16_t free_tags[STORAGE_TAGS_MAX];
};

/* NULL where it is none, or in another state. */
static inline struct storage_tag *find_tag(struct storage_frontend *frontend, uint32_t tag,
					   enum storage_tag_state state)
{
	if (tag >= frontend->link.tags || frontend->tags[tag].state != state)
		return NULL;
	return &frontend->tags[tag];
}

static inline void free_tag(struct storage_frontend *frontend, uint32_t tag)
{
	frontend->tags[tag].state = TAG_FREE;
	frontend->free_tags[frontend->free++] = (uint16_t)tag;
}

#endif
