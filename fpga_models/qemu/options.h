/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The plugin's command line: key=value, every key of memsys/defaults.toml. */
#ifndef TIERMEM_OPTIONS_H
#define TIERMEM_OPTIONS_H

#include <stddef.h>

#include "device.h"

/*
 * bar=FILE is needed, pac=FILE and trace=FILE are not; pac_limit_bytes (default
 * 64 GiB), trace_records (2^26) and seed (1) are numbers. Strings point into argv. 0, or -1 with one
 * sentence in error; nr_vcpus is left to the caller.
 */
int options_parse(struct device_options *options, int argc, char **argv, char *error,
		  size_t error_bytes);

#endif
