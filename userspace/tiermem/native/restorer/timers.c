// SPDX-License-Identifier: GPL-2.0-or-later
#include "timers.h"

#include <linux/errno.h>

#include "restorer.h"

enum {
	TIMERS_KEEP_IDS = 77,	/* PR_TIMER_CREATE_RESTORE_IDS, since Linux 6.15 */
	TRIES_MAX = 1 << 20,
};

/* struct sigevent */
struct event {
	uint64_t value;
	int32_t signal;
	int32_t notify;
	int32_t thread;
	int32_t unused[11];
};

_Static_assert(sizeof(struct event) == 64, "struct sigevent");

/* Ids go up with each timer that is made, also if the kernel cannot be told which. */
static long create(const struct image_posix_timer *timer)
{
	struct event event = {
		.value = timer->value,
		.signal = timer->signal,
		.notify = timer->notify,
		.thread = timer->thread,
	};

	for (int i = 0; i < TRIES_MAX; i++) {
		int32_t id = timer->id;
		long result = call(timer_create, timer->clock, &event, &id);

		if (result < 0 || id == timer->id)
			return result;
		call(timer_delete, id);
		if (id > timer->id)
			return -EEXIST;
	}
	return -EEXIST;
}

static long arm(const struct image_posix_timer *timer)
{
	const struct image_itimer *setting = &timer->setting;
	uint64_t value[4] = {
		setting->interval_ns / NS_PER_S,
		setting->interval_ns % NS_PER_S,
		setting->value_ns / NS_PER_S,
		setting->value_ns % NS_PER_S,
	};

	return setting->value_ns ? call(timer_settime, timer->id, 0, value, NULL) : 0;
}

static int make_posix_timers(struct restorer *r)
{
	const struct image_posix_timer *timers = image_timers(r->image);
	uint64_t i;
	long result = 0;

	if (r->image->timers.count == 0)
		return 0;
	call(prctl, TIMERS_KEEP_IDS, 1, 0, 0, 0);
	for (i = 0; i < r->image->timers.count && result == 0; i++) {
		result = create(&timers[i]);
		if (result == 0)
			result = arm(&timers[i]);
	}
	call(prctl, TIMERS_KEEP_IDS, 0, 0, 0, 0);
	return result < 0 ? failed(r, RESTORE_STEP_TIMER, i - 1, result) : 0;
}

int make_timers(struct restorer *r)
{
	int result = make_posix_timers(r);

	for (int which = 0; which < IMAGE_ITIMERS && result == 0; which++) {
		const struct image_itimer *timer = &r->image->process.itimers[which];
		/* One that repeats stands still while its signal waits. */
		uint64_t value_ns = timer->value_ns ? timer->value_ns : timer->interval_ns;
		uint64_t value[4] = {
			timer->interval_ns / NS_PER_S,
			timer->interval_ns % NS_PER_S / 1000,
			value_ns / NS_PER_S,
			value_ns % NS_PER_S / 1000,
		};

		if (!value_ns)
			continue;
		result = (int)call(setitimer, which, value, NULL);
		if (result < 0)
			failed(r, RESTORE_STEP_ITIMER, (uint64_t)which, result);
	}
	return result;
}
