/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mappings that the kernel makes in each process: [vvar], [vvar_vclock], [vdso].
 * They cannot be made, only moved, each as a whole.
 */
#ifndef RESTORER_KERNELS_OWN_H
#define RESTORER_KERNELS_OWN_H

#include <stdint.h>

struct kernels_own;
struct restorer;

int find_kernels_own(struct kernels_own *own);

uint64_t kernels_own_bytes(const struct kernels_own *own);

/* Out of the way, side by side, to where kernels_own_bytes() are to spare. */
int put_kernels_own_aside(struct kernels_own *own, uint64_t to);

/* To where the image has them. */
int place_kernels_own(struct restorer *r);

#endif
