/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parts of a mapped image. Its front was checked by whoever sent the command. */
#ifndef RESTORER_IMAGE_PARTS_H
#define RESTORER_IMAGE_PARTS_H

#include "../fork_image.h"

static inline const void *image_at(const struct image_header *image, uint64_t at)
{
	return (const uint8_t *)image + at;
}

static inline const char *image_string(const struct image_header *image, uint32_t at)
{
	return image_at(image, image->strings.at + at);
}

static inline const struct image_thread *image_threads(const struct image_header *image)
{
	return image_at(image, image->threads.at);
}

static inline const struct image_vma *image_vmas(const struct image_header *image)
{
	return image_at(image, image->vmas.at);
}

static inline const struct image_run *image_runs(const struct image_header *image)
{
	return image_at(image, image->runs.at);
}

static inline const struct image_path *image_paths(const struct image_header *image)
{
	return image_at(image, image->paths.at);
}

static inline const struct image_fd *image_fds(const struct image_header *image)
{
	return image_at(image, image->fds.at);
}

static inline const struct image_posix_timer *image_timers(const struct image_header *image)
{
	return image_at(image, image->timers.at);
}

static inline const char *image_path_name(const struct image_header *image, uint32_t path)
{
	return image_string(image, image_paths(image)[path].name);
}

#endif
