/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef RESTORER_BYTES_H
#define RESTORER_BYTES_H

#include <stddef.h>
#include <stdint.h>

void *memcpy(void *to, const void *from, size_t bytes);
void *memset(void *at, int value, size_t bytes);

size_t string_bytes(const char *text);
int begins_with(const char *text, const char *prefix);

/* In decimal, without a zero at the end; how many bytes, at most 20. */
size_t put_number(char *into, int64_t number);

#endif
