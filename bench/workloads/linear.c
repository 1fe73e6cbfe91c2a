// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Training by the distribution's liblinear (its default solver: dual
 * coordinate descent for an L2-loss SVM) on sparse data made here: text-like
 * rows whose features are drawn by Zipf, labels by a hidden sparse model plus
 * noise. A unit is one mark that the library prints, every tenth pass over the
 * rows. Training runs in a thread of its own, which stops between the phases.
 */
#include <linear.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "draw.h"
#include "phase.h"

static sem_t permits, finished;

/* liblinear prints a dot at every tenth pass; that is where it waits. */
static void on_print(const char *text)
{
	if (strcmp(text, ".") != 0)
		return;
	sem_post(&finished);
	sem_wait(&permits);
}

struct training {
	struct problem problem;
	struct parameter parameter;
};

static void *train_for_ever(void *state)
{
	struct training *training = state;

	sem_wait(&permits);
	for (;;) {
		struct model *model = train(&training->problem, &training->parameter);

		free_and_destroy_model(&model);
	}
	return NULL;
}

static void work(void *state, struct phase *phase)
{
	(void)state;
	for (uint64_t unit = 0; unit < phase->units; unit++) {
		sem_post(&permits);
		sem_wait(&finished);
	}
}

/* Weight that the hidden model gives a feature: most count for nothing. */
static double hidden_weight(uint64_t feature, uint64_t seed)
{
	uint64_t bits = scatter64(feature * 2 + seed);

	return bits % 4 ? 0.0 : (double)(bits >> 40) * 0x1p-23 - 1.0;
}

static struct problem make_problem(uint32_t rows, uint32_t features, uint32_t row_length,
				   uint64_t seed)
{
	struct draw draw = draw_seeded(seed);
	struct zipf zipf = zipf_over(features, 0.8);
	struct problem problem = { .l = (int)rows, .n = (int)features, .bias = -1.0 };
	struct feature_node *node =
		phase_memory((uint64_t)rows * (row_length + 1) * sizeof(*node));

	problem.y = phase_memory(rows * sizeof(*problem.y));
	problem.x = phase_memory(rows * sizeof(*problem.x));
	for (uint32_t row = 0; row < rows; row++) {
		double score = draw_unit(&draw) - 0.5;

		problem.x[row] = node;
		for (uint32_t i = 0; i < row_length; i++, node++) {
			uint64_t feature = scatter64(zipf_rank(&zipf, &draw) + seed) % features;

			*node = (struct feature_node){ (int)feature + 1, 1.0 };
			score += hidden_weight(feature, seed);
		}
		*node++ = (struct feature_node){ -1, 0.0 };
		problem.y[row] = score > 0.0 ? 1.0 : -1.0;
	}
	return problem;
}

int main(int argc, char **argv)
{
	struct params params = params_from(argc, argv);
	struct phase_options options = phase_options_from(&params);
	uint32_t rows = params_number(&params, "rows", 300000, 2, 1u << 28);
	uint32_t features = params_number(&params, "features", 2000000, 2, 1u << 28);
	uint32_t row_length = params_number(&params, "row_length", 40, 1, 1u << 20);
	struct training training = {
		.parameter = { .solver_type = L2R_L2LOSS_SVC_DUAL, .eps = 1e-9, .C = 1.0 },
	};
	pthread_t thread;

	params_done(&params);
	clock_open(options.clock);
	training.problem = make_problem(rows, features, row_length, options.seed);
	set_print_string_function(on_print);
	sem_init(&permits, 0, 0);
	sem_init(&finished, 0, 0);
	if (pthread_create(&thread, NULL, train_for_ever, &training) != 0) {
		perror("thread");
		return 1;
	}
	return phase_serve(work, NULL, 0);
}
