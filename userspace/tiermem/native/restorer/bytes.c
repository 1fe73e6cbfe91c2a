// SPDX-License-Identifier: GPL-2.0-or-later
/* What the compiler calls without being asked, and what a C library would have. */
#include "bytes.h"

void *memcpy(void *to, const void *from, size_t bytes)
{
	void *begin = to;
	size_t words = bytes / sizeof(uint64_t);

	/* By words: not every processor moves bytes as fast. */
	bytes %= sizeof(uint64_t);
	__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
	return begin;
}

void *memset(void *at, int value, size_t bytes)
{
	void *begin = at;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(bytes) : "a"(value) : "memory");
	return begin;
}

size_t string_bytes(const char *text)
{
	size_t bytes = 0;

	while (text[bytes])
		bytes++;
	return bytes;
}

int begins_with(const char *text, const char *prefix)
{
	while (*prefix)
		if (*text++ != *prefix++)
			return 0;
	return 1;
}

size_t put_number(char *into, int64_t number)
{
	char digits[20];
	size_t count = 0, bytes = 0;
	uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;

	do {
		digits[count++] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest);
	if (number < 0)
		into[bytes++] = '-';
	while (count)
		into[bytes++] = digits[--count];
	return bytes;
}
