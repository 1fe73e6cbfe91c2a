// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The memory side of LLM decoding. Each sequence owns KV blocks; the blocks
 * of all sequences are interleaved, because the sequences grew side by side.
 * A unit is one decoding step: some sequences are scheduled, by a Zipf draw
 * (a few users chat all the time, most rarely), and the whole KV of each is
 * read once, as attention does.
 */
#include <stdlib.h>

#include "clock.h"
#include "draw.h"
#include "phase.h"

#define BLOCK_BYTES 65536	/* 16 tokens of 4 KiB: 8 KV heads of 128, two bytes, K and V */

struct kvscan {
	const uint64_t *memory;
	uint32_t *order;	/* blocks of sequence s: order[s * blocks ...] */
	uint32_t sequences, blocks, batch;
	struct zipf zipf;
	struct draw draw;
	uint64_t sum;
};

static uint64_t read_block(const uint64_t *block, uint64_t query)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < BLOCK_BYTES / 8; i += 8)
		sum += (block[i] ^ query) + (block[i + 2] ^ query) + (block[i + 4] ^ query) +
		       (block[i + 6] ^ query);
	return sum;
}

static void step(struct kvscan *kv)
{
	for (uint32_t i = 0; i < kv->batch; i++) {
		uint64_t sequence = zipf_rank(&kv->zipf, &kv->draw);
		uint64_t query = draw_u64(&kv->draw);

		for (uint32_t b = 0; b < kv->blocks; b++) {
			uint64_t block = kv->order[sequence * kv->blocks + b];

			kv->sum += read_block(kv->memory + block * (BLOCK_BYTES / 8), query);
		}
	}
}

static void work(void *state, struct phase *phase)
{
	for (uint64_t unit = 0; unit < phase->units; unit++) {
		uint64_t begin = clock_now_ns();

		step(state);
		phase_latency(phase, clock_now_ns() - begin);
	}
}

int main(int argc, char **argv)
{
	struct params params = params_from(argc, argv);
	struct phase_options options = phase_options_from(&params);
	uint64_t megabytes = params_number(&params, "megabytes", 512, 8, 1 << 20);
	struct kvscan kv = {
		.sequences = params_number(&params, "sequences", 128, 1, 65536),
		.batch = params_number(&params, "batch", 4, 1, 4096),
		.draw = draw_seeded(options.seed),
	};

	params_done(&params);
	clock_open(options.clock);
	kv.blocks = (uint32_t)((megabytes << 20) / BLOCK_BYTES / kv.sequences);
	if (!kv.blocks)
		kv.blocks = 1;
	kv.zipf = zipf_over(kv.sequences, 0.9);
	kv.memory = phase_memory((uint64_t)kv.sequences * kv.blocks * BLOCK_BYTES);
	kv.order = draw_permutation(&kv.draw, kv.sequences * kv.blocks);
	return phase_serve(work, &kv, 1);
}
