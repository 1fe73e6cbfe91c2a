// SPDX-License-Identifier: GPL-2.0-or-later
#include "pool_copy.h"

#include <cpuid.h>
#include <immintrin.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include "line_instructions.h"

enum {
	LINE = 64,
	VECTOR = 16,
};

/* --- cache lines --- */

static void each_line(enum line_instruction by, const void *from, uint64_t bytes)
{
	uint8_t *at = (uint8_t *)((uintptr_t)from & ~(uintptr_t)(LINE - 1));
	const uint8_t *end = (const uint8_t *)from + bytes;

	if (!bytes)
		return;
	for (; at < end; at += LINE)
		line_do(by, at);
}

/* --- CRC-32C --- */

static int can_fold;		/* the processor multiplies without carries */
static uint32_t bytewise[256];
static uint64_t past_line[2], past_vector[2];
static pthread_once_t ready = PTHREAD_ONCE_INIT;

/* The Castagnoli polynomial, reflected. */
#define POLYNOMIAL 0x82f63b78u

static uint32_t times_x(uint32_t value)
{
	return value >> 1 ^ (value & 1 ? POLYNOMIAL : 0);
}

static uint32_t power_of_x(int exponent)
{
	uint32_t value = 0x80000000u;

	while (exponent--)
		value = times_x(value);
	return value;
}

/*
 * What 16 bytes are multiplied with, half by half, to have the same sum `bytes`
 * later (Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ
 * Instruction", Intel 2009; one less in the exponents, for reflected products).
 */
static void set_factors(uint64_t factors[2], int bytes)
{
	factors[0] = power_of_x(8 * bytes + 31);
	factors[1] = power_of_x(8 * bytes - 33);
}

static void make_tables(void)
{
	for (uint32_t byte = 0; byte < 256; byte++) {
		bytewise[byte] = byte;
		for (int bit = 0; bit < 8; bit++)
			bytewise[byte] = times_x(bytewise[byte]);
	}
	set_factors(past_line, LINE);
	set_factors(past_vector, VECTOR);
}

static void find_out(void)
{
	unsigned int a, b, c, d;

	make_tables();
	if (__get_cpuid(1, &a, &b, &c, &d))
		can_fold = (c & bit_SSE4_2) && (c & bit_PCLMUL);
}

static uint32_t sum_bytes(uint32_t sum, const uint8_t *at, uint64_t bytes)
{
	while (bytes--)
		sum = sum >> 8 ^ bytewise[(sum ^ *at++) & 0xff];
	return sum;
}

#define FOLDING __attribute__((target("sse4.2,pclmul")))

FOLDING static inline __m128i fold(__m128i sum, __m128i factors, __m128i next)
{
	const __m128i low = _mm_clmulepi64_si128(sum, factors, 0x00);
	const __m128i high = _mm_clmulepi64_si128(sum, factors, 0x11);

	return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

FOLDING static inline __m128i take(uint8_t *out, const uint8_t *in, int vector)
{
	const __m128i taken = _mm_loadu_si128((const __m128i *)(in + vector * VECTOR));

	if (out)
		_mm_stream_si128((__m128i *)(out + vector * VECTOR), taken);
	return taken;
}

/* Whole lines, at least one; copies them on the way where `out`, a line's begin, is given. */
FOLDING static inline uint32_t sum_lines(uint32_t sum, uint8_t *out, const uint8_t *in,
					 uint64_t lines)
{
	const __m128i far = _mm_loadu_si128((const __m128i *)past_line);
	const __m128i near = _mm_loadu_si128((const __m128i *)past_vector);
	__m128i a = _mm_xor_si128(_mm_cvtsi32_si128((int)sum), take(out, in, 0));
	__m128i b = take(out, in, 1);
	__m128i c = take(out, in, 2);
	__m128i d = take(out, in, 3);

	while (--lines) {
		in += LINE;
		if (out)
			out += LINE;
		a = fold(a, far, take(out, in, 0));
		b = fold(b, far, take(out, in, 1));
		c = fold(c, far, take(out, in, 2));
		d = fold(d, far, take(out, in, 3));
	}
	d = fold(fold(fold(a, near, b), near, c), near, d);
	return (uint32_t)_mm_crc32_u64(_mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(d)),
				       (uint64_t)_mm_extract_epi64(d, 1));
}

FOLDING static uint32_t sum_fast(uint32_t sum, const uint8_t *at, uint64_t bytes)
{
	const uint64_t lines = bytes / LINE;

	if (lines)
		sum = sum_lines(sum, NULL, at, lines);
	return sum_bytes(sum, at + lines * LINE, bytes % LINE);
}

FOLDING static uint32_t stream_lines(uint32_t sum, uint8_t *out, const uint8_t *in, uint64_t lines)
{
	return lines ? sum_lines(sum, out, in, lines) : sum;
}

uint32_t pool_checksum(uint32_t checksum, const void *from, uint64_t bytes)
{
	pthread_once(&ready, find_out);
	if (can_fold)
		return ~sum_fast(~checksum, from, bytes);
	return ~sum_bytes(~checksum, from, bytes);
}

/* --- copies --- */

/* Bytes before the next line begins. */
static uint64_t head_of(const uint8_t *at)
{
	return -(uintptr_t)at & (LINE - 1);
}

static inline void stream_line(uint8_t *out, const uint8_t *in)
{
	const __m128i a = _mm_loadu_si128((const __m128i *)in);
	const __m128i b = _mm_loadu_si128((const __m128i *)(in + VECTOR));
	const __m128i c = _mm_loadu_si128((const __m128i *)(in + 2 * VECTOR));
	const __m128i d = _mm_loadu_si128((const __m128i *)(in + 3 * VECTOR));

	_mm_stream_si128((__m128i *)out, a);
	_mm_stream_si128((__m128i *)(out + VECTOR), b);
	_mm_stream_si128((__m128i *)(out + 2 * VECTOR), c);
	_mm_stream_si128((__m128i *)(out + 3 * VECTOR), d);
}

void pool_copy_stream(void *to, const void *from, uint64_t bytes)
{
	uint8_t *out = to;
	const uint8_t *in = from;
	const uint64_t head = head_of(out);

	if (head >= bytes) {
		memcpy(out, in, bytes);
		pool_copy_write_back(to, bytes);
		return;
	}
	memcpy(out, in, head);
	out += head;
	in += head;
	bytes -= head;
	for (; bytes >= LINE; out += LINE, in += LINE, bytes -= LINE)
		stream_line(out, in);
	memcpy(out, in, bytes);
	/* The ends are ordinary stores: with a fence after, they are where the rest is. */
	pool_copy_write_back(to, head);
	pool_copy_write_back(out, bytes);
}

static uint32_t copy_plainly(uint32_t checksum, uint8_t *out, const uint8_t *in, uint64_t bytes)
{
	pool_copy_stream(out, in, bytes);
	return pool_checksum(checksum, in, bytes);
}

uint32_t pool_copy_checked(uint32_t checksum, void *to, const void *from, uint64_t bytes)
{
	uint8_t *out = to;
	const uint8_t *in = from;
	const uint64_t head = head_of(out);
	uint64_t whole;

	pthread_once(&ready, find_out);
	if (!can_fold || head > bytes)
		return copy_plainly(checksum, out, in, bytes);
	whole = (bytes - head) / LINE * LINE;
	checksum = copy_plainly(checksum, out, in, head);
	checksum = ~stream_lines(~checksum, out + head, in + head, whole / LINE);
	return copy_plainly(checksum, out + head + whole, in + head + whole, bytes - head - whole);
}

void pool_copy_write_back(const void *at, uint64_t bytes)
{
	each_line(line_write_back_by, at, bytes);
}

void pool_copy_invalidate(const void *at, uint64_t bytes)
{
	each_line(line_invalidate_by, at, bytes);
}

void pool_copy_fence(void)
{
	_mm_mfence();
}
