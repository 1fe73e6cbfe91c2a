/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Defaults and rules of struct tiermem_hw_config. */
#ifndef TM_CONFIG_H
#define TM_CONFIG_H

#ifndef TIERMEM_CDEF
#include <stdint.h>
#include "tiermem_hpt_regs.h"
#endif

/*
 * The M5 artifact's parameters: sketches of 4 rows x 32768 columns x 14 bits,
 * CAMs of 25 entries, no period, PAC on, WAC off; no ranges and nothing
 * tracked (the caller knows where its memory lies).
 */
void tm_config_defaults(struct tiermem_hw_config *config);

/* The same for one tracker with Space-Saving: 50 counters. */
void tm_config_space_saving(struct tiermem_tracker_config *tracker);

/*
 * Checks a configuration as a whole. Returns NULL, or one sentence (static)
 * that names the field and what is allowed. Fields of a tracker that is not
 * enabled, and ranges from nr_ranges on, are not looked at.
 */
const char *tm_config_check(const struct tiermem_hw_config *config);

#endif
