/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Starting a restorer, whatever the size of the program that does. */
#ifndef FORK_SPAWN_H
#define FORK_SPAWN_H

/*
 * Starts `program` as process 1 of new PID and mount namespaces, with nothing open but
 * `control`, which becomes descriptor 3, in the cgroup whose folder is open as `cgroup`
 * (-1: the caller's). Returns its pid here, or a negative errno. No page tables are
 * copied: the caller's thread waits until the program has begun.
 */
int fork_spawn(const char *program, int control, int cgroup);

#endif
