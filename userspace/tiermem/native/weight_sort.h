/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sorts things by weight, heaviest first, equal ones as they came: by radix over
 * keys of 33 bits of the weight and 31 of the thing's index. Weights are doubles
 * from 0 up, whose representation orders as they do; 21 bits of fraction are more
 * than an estimated rate is worth.
 */
#ifndef WEIGHT_SORT_H
#define WEIGHT_SORT_H

#include <stdint.h>

uint64_t weight_key(double weight, uint32_t index);
uint32_t weight_index(uint64_t key);

/* Sorts n keys; the result is in one of the two arrays, which is returned. */
const uint64_t *weight_sort(uint64_t *keys, uint64_t *spare, uint32_t n);

#endif
