/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef RESTORER_CREDENTIALS_H
#define RESTORER_CREDENTIALS_H

struct restorer;

/* Users and groups, by the leader before there are other threads, which are born with them.
 * Its capabilities stay. */
int set_users(struct restorer *r);

/* Capabilities, by each thread for itself, as the last thing: rights are only given up. */
int give_up_rights(struct restorer *r);

#endif
