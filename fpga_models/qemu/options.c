// SPDX-License-Identifier: GPL-2.0-or-later
#include "options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 64 };

static int refuse(const char *name, const char *value, uint64_t min, uint64_t max,
		  char *error, size_t error_bytes)
{
	snprintf(error, error_bytes, "%s=%s: allowed are %" PRIu64 " to %" PRIu64, name,
		 value, min, max);
	return -1;
}

/* Takes what ms_parameters_set() takes: decimal digits and nothing else. */
static int parse_number(const char *name, const char *text, uint64_t min, uint64_t *number,
			char *error, size_t error_bytes)
{
	char *end;

	errno = 0;
	*number = strtoull(text, &end, 10);
	if (errno || *end || *text < '0' || *text > '9' || *number < min)
		return refuse(name, text, min, UINT64_MAX, error, error_bytes);
	return 0;
}

static int parse_parameter(struct ms_parameters *parameters, const char *name,
			   const char *value, char *error, size_t error_bytes)
{
	uint64_t min, max;

	switch (ms_parameters_set(parameters, name, value, &min, &max)) {
	case 0:
		return 0;
	case -1:
		snprintf(error, error_bytes, "%s=%s: there is no such option", name, value);
		return -1;
	default:
		return refuse(name, value, min, max, error, error_bytes);
	}
}

static int parse_one(struct device_options *options, const char *argument, char *error,
		     size_t error_bytes)
{
	const char *equals = strchr(argument, '=');
	char name[NAME_BYTES];
	const char *value;

	if (!equals || equals == argument || equals - argument >= NAME_BYTES) {
		snprintf(error, error_bytes, "%s: expected key=value", argument);
		return -1;
	}
	memcpy(name, argument, (size_t)(equals - argument));
	name[equals - argument] = '\0';
	value = equals + 1;
	if (!strcmp(name, "bar"))
		options->bar_path = value;
	else if (!strcmp(name, "pac"))
		options->pac_path = value;
	else if (!strcmp(name, "trace"))
		options->trace_path = value;
	else if (!strcmp(name, "trace_records"))
		return parse_number(name, value, 1, &options->trace_records, error,
				    error_bytes);
	else if (!strcmp(name, "pac_limit_bytes"))
		return parse_number(name, value, 0, &options->pac_limit_bytes, error,
				    error_bytes);
	else if (!strcmp(name, "seed"))
		return parse_number(name, value, 0, &options->seed, error, error_bytes);
	else
		return parse_parameter(&options->parameters, name, value, error,
				       error_bytes);
	return 0;
}

int options_parse(struct device_options *options, int argc, char **argv, char *error,
		  size_t error_bytes)
{
	const char *missing;
	int i;

	memset(options, 0, sizeof(*options));
	options->pac_limit_bytes = 64ULL << 30;
	options->trace_records = 1ULL << 26;
	options->seed = 1;
	for (i = 0; i < argc; i++)
		if (parse_one(options, argv[i], error, error_bytes))
			return -1;
	if (!options->bar_path) {
		snprintf(error, error_bytes, "bar=FILE is missing");
		return -1;
	}
	missing = ms_parameters_check(&options->parameters);
	if (missing) {
		snprintf(error, error_bytes, "%s (see memsys/defaults.toml)", missing);
		return -1;
	}
	return 0;
}
