// SPDX-License-Identifier: GPL-2.0-or-later
#include "pool_copy.h"

#include <cpuid.h>
#include <immintrin.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

enum {
	LINE = 64,
	VECTOR = 16,
	LANE = 4096,	/* bytes of each of the three streams that are summed side by side */
	LANES = 3,
};

/* --- cache lines --- */

enum line_instruction { LINE_CLFLUSH, LINE_CLFLUSHOPT, LINE_CLWB };

static enum line_instruction write_back_by, invalidate_by;
static int has_crc32;
static uint32_t bytewise[256];
/* What LANE zero bytes after a checksum make of it, by each of its four bytes. */
static uint32_t past_lane[4][256];
static pthread_once_t ready = PTHREAD_ONCE_INIT;

__attribute__((target("clwb"))) static void write_back_clwb(const uint8_t *at, const uint8_t *end)
{
	for (; at < end; at += LINE)
		_mm_clwb((void *)(uintptr_t)at);
}

__attribute__((target("clflushopt"))) static void flush_opt(const uint8_t *at, const uint8_t *end)
{
	for (; at < end; at += LINE)
		_mm_clflushopt((void *)(uintptr_t)at);
}

static void flush_plain(const uint8_t *at, const uint8_t *end)
{
	for (; at < end; at += LINE)
		_mm_clflush(at);
}

static void each_line(enum line_instruction by, const void *from, uint64_t bytes)
{
	const uint8_t *at = (const uint8_t *)((uintptr_t)from & ~(uintptr_t)(LINE - 1));
	const uint8_t *end = (const uint8_t *)from + bytes;

	if (!bytes)
		return;
	if (by == LINE_CLWB)
		write_back_clwb(at, end);
	else if (by == LINE_CLFLUSHOPT)
		flush_opt(at, end);
	else
		flush_plain(at, end);
}

/* --- CRC-32C --- */

/* The Castagnoli polynomial, reflected. */
#define POLYNOMIAL 0x82f63b78u

static uint32_t sum_bytes(uint32_t sum, const uint8_t *at, uint64_t bytes)
{
	while (bytes--)
		sum = sum >> 8 ^ bytewise[(sum ^ *at++) & 0xff];
	return sum;
}

static void make_tables(void)
{
	static const uint8_t zeros[LANE];

	for (uint32_t byte = 0; byte < 256; byte++) {
		uint32_t sum = byte;

		for (int bit = 0; bit < 8; bit++)
			sum = sum >> 1 ^ (sum & 1 ? POLYNOMIAL : 0);
		bytewise[byte] = sum;
	}
	/* Sums are linear: bit by bit is enough, the rest are XORs of those. */
	for (int place = 0; place < 4; place++) {
		for (int bit = 0; bit < 8; bit++) {
			const uint32_t one = sum_bytes(1u << (8 * place + bit), zeros, LANE);

			for (uint32_t low = 0; low < 1u << bit; low++)
				past_lane[place][1u << bit | low] = one ^ past_lane[place][low];
		}
	}
}

static void find_out(void)
{
	unsigned int a, b, c, d;

	make_tables();
	if (__get_cpuid(1, &a, &b, &c, &d))
		has_crc32 = !!(c & bit_SSE4_2);
	if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
		invalidate_by = b & bit_CLFLUSHOPT ? LINE_CLFLUSHOPT : LINE_CLFLUSH;
		write_back_by = b & bit_CLWB ? LINE_CLWB : invalidate_by;
	}
}

static uint32_t skip_lane(uint32_t sum)
{
	return past_lane[0][sum & 0xff] ^ past_lane[1][sum >> 8 & 0xff] ^
	       past_lane[2][sum >> 16 & 0xff] ^ past_lane[3][sum >> 24];
}

static uint64_t word_at(const uint8_t *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

/* One instruction takes three cycles and starts every cycle: three streams at once. */
__attribute__((target("sse4.2"))) static uint32_t sum_fast(uint32_t sum, const uint8_t *at,
							   uint64_t bytes)
{
	while (bytes >= LANES * LANE) {
		uint64_t first = sum, second = 0, third = 0;

		for (int i = 0; i < LANE; i += 8) {
			first = _mm_crc32_u64(first, word_at(at + i));
			second = _mm_crc32_u64(second, word_at(at + LANE + i));
			third = _mm_crc32_u64(third, word_at(at + 2 * LANE + i));
		}
		sum = skip_lane((uint32_t)first) ^ (uint32_t)second;
		sum = skip_lane(sum) ^ (uint32_t)third;
		at += LANES * LANE;
		bytes -= LANES * LANE;
	}
	for (; bytes >= 8; at += 8, bytes -= 8)
		sum = (uint32_t)_mm_crc32_u64(sum, word_at(at));
	return sum_bytes(sum, at, bytes);
}

uint32_t pool_checksum(uint32_t checksum, const void *from, uint64_t bytes)
{
	pthread_once(&ready, find_out);
	if (has_crc32)
		return ~sum_fast(~checksum, from, bytes);
	return ~sum_bytes(~checksum, from, bytes);
}

/* --- copies --- */

void pool_copy_stream(void *to, const void *from, uint64_t bytes)
{
	uint8_t *out = to;
	const uint8_t *in = from;
	const uint64_t head = -(uintptr_t)out & (LINE - 1);

	if (head >= bytes) {
		memcpy(out, in, bytes);
		pool_copy_write_back(to, bytes);
		return;
	}
	memcpy(out, in, head);
	out += head;
	in += head;
	bytes -= head;
	for (; bytes >= LINE; out += LINE, in += LINE, bytes -= LINE) {
		const __m128i a = _mm_loadu_si128((const __m128i *)in);
		const __m128i b = _mm_loadu_si128((const __m128i *)(in + VECTOR));
		const __m128i c = _mm_loadu_si128((const __m128i *)(in + 2 * VECTOR));
		const __m128i d = _mm_loadu_si128((const __m128i *)(in + 3 * VECTOR));

		_mm_stream_si128((__m128i *)out, a);
		_mm_stream_si128((__m128i *)(out + VECTOR), b);
		_mm_stream_si128((__m128i *)(out + 2 * VECTOR), c);
		_mm_stream_si128((__m128i *)(out + 3 * VECTOR), d);
	}
	memcpy(out, in, bytes);
	/* The ends are ordinary stores: with a fence after, they are where the rest is. */
	pool_copy_write_back(to, head);
	pool_copy_write_back(out, bytes);
}

uint32_t pool_copy_checked(uint32_t checksum, void *to, const void *from, uint64_t bytes)
{
	uint8_t *out = to;
	const uint8_t *in = from;

	/* In pieces that are still in the first cache when they are copied. */
	while (bytes) {
		const uint64_t piece = bytes < LANES * LANE ? bytes : LANES * LANE;

		checksum = pool_checksum(checksum, in, piece);
		pool_copy_stream(out, in, piece);
		out += piece;
		in += piece;
		bytes -= piece;
	}
	return checksum;
}

void pool_copy_write_back(const void *at, uint64_t bytes)
{
	pthread_once(&ready, find_out);
	each_line(write_back_by, at, bytes);
}

void pool_copy_invalidate(const void *at, uint64_t bytes)
{
	pthread_once(&ready, find_out);
	each_line(invalidate_by, at, bytes);
}

void pool_copy_fence(void)
{
	_mm_mfence();
}
