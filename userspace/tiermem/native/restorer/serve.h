/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef RESTORER_SERVE_H
#define RESTORER_SERVE_H

struct restorer;

/* What process 1 does from when the process has begun to when it ends, and all with it. */
_Noreturn void serve(struct restorer *r, int pid);

#endif
