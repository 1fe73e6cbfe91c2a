/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef RESTORER_CREDENTIALS_H
#define RESTORER_CREDENTIALS_H

struct restorer;

/* Users, groups and capabilities of the calling thread; rights are only given up. */
int set_credentials(struct restorer *r);

#endif
