// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "params.h"

struct params params_from(int argc, char **argv)
{
	return (struct params){ .argc = argc, .argv = argv, .known = 1 };
}

const char *params_text(struct params *params, const char *name, const char *otherwise)
{
	size_t length = strlen(name);

	for (int i = 1; i < params->argc && i < 64; i++) {
		if (strncmp(params->argv[i], name, length) || params->argv[i][length] != '=')
			continue;
		params->known |= 1ull << i;
		return params->argv[i] + length + 1;
	}
	return otherwise;
}

uint64_t params_number(struct params *params, const char *name, uint64_t otherwise,
		       uint64_t low, uint64_t high)
{
	const char *text = params_text(params, name, NULL);
	uint64_t value;
	char *end;

	if (!text)
		return otherwise;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || value < low || value > high) {
		fprintf(stderr, "%s=%s: a number from %" PRIu64 " to %" PRIu64 " is needed\n",
			name, text, low, high);
		exit(2);
	}
	return value;
}

void params_done(const struct params *params)
{
	for (int i = 1; i < params->argc; i++) {
		if (i < 64 && (params->known & (1ull << i)))
			continue;
		fprintf(stderr, "unknown argument: %s\n", params->argv[i]);
		exit(2);
	}
}
