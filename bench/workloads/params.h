/* SPDX-License-Identifier: GPL-2.0-or-later */
/* name=value arguments, with defaults; unknown names are errors. */
#ifndef BENCH_PARAMS_H
#define BENCH_PARAMS_H

#include <stdint.h>

struct params {
	int argc;
	char **argv;
	uint64_t known;		/* bit i: argv[i] was asked for */
};

struct params params_from(int argc, char **argv);
const char *params_text(struct params *params, const char *name, const char *otherwise);
/* Exits with a message when the value is no number within [low, high]. */
uint64_t params_number(struct params *params, const char *name, uint64_t otherwise,
		       uint64_t low, uint64_t high);
/* Exits with a message naming the first argument that nobody asked for. */
void params_done(const struct params *params);

#endif
