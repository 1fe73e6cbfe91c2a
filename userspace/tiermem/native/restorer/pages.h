/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the image holds of a mapping, brought into it. */
#ifndef RESTORER_PAGES_H
#define RESTORER_PAGES_H

struct image_vma;
struct restorer;

/* The mapping is writable. */
int copy_pages(struct restorer *r, const struct image_vma *vma);

/* Through the image module's descriptor, over what is mapped there. */
int lay_pages_over(struct restorer *r, const struct image_vma *vma);

/* Those that were accessed before and may be written to, local at once. */
int copy_accessed_ahead(struct restorer *r);

#endif
