/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The write-backs, invalidations and fences that a trial on the model came by
 * (host_memory.h), of which a test leaves one out. Tests only. */
#ifndef MODEL_SITES_H
#define MODEL_SITES_H

#include <stdint.h>

/* Before a trial: none were come by. */
void model_sites_forget(void);

/* How many were. */
uint32_t model_sites_count(void);

/* Notes one. */
void model_sites_note(int32_t site, const char *in, const char *does);

/* Number `index`: its function, and what it does. NULL: none. */
const char *model_sites_get(uint32_t index, int32_t *site, const char **does);

#endif
