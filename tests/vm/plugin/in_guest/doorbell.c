// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The device's command block, driven by root through the PCI resource file.
 *
 *	doorbell RESOURCE_FILE BAR_PHYS OPCODE ARG0 ARG1 ARG2 wait|now
 *
 * Prints "completed error state". With `now` it reads `completed` right behind
 * its store to the doorbell and fails where the command is not done by then.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "../../../../kmod/uapi/tiermem_hpt_regs.h"

enum { TIMEOUT_S = 30 };

int main(int argc, char **argv)
{
	const struct timespec pause = { 0, 1000000 };
	volatile struct tiermem_regs *regs;
	time_t begin = time(NULL);
	unsigned int doorbell, completed;
	int fd;

	if (argc != 8)
		return 2;
	fd = open(argv[1], O_RDWR);
	if (fd < 0)
		return 1;
	regs = mmap(NULL, TIERMEM_BAR_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (regs == MAP_FAILED)
		return 1;
	regs->bar_phys = strtoull(argv[2], NULL, 0);
	regs->guest.opcode = (unsigned int)strtoul(argv[3], NULL, 0);
	regs->guest.arg0 = strtoull(argv[4], NULL, 0);
	regs->guest.arg1 = strtoull(argv[5], NULL, 0);
	regs->guest.arg2 = strtoull(argv[6], NULL, 0);
	doorbell = regs->guest.completed + 1;
	regs->guest.doorbell = doorbell;
	completed = regs->guest.completed;
	while (!strcmp(argv[7], "wait") && completed != doorbell) {
		if (time(NULL) - begin > TIMEOUT_S)
			return 3;
		nanosleep(&pause, NULL);
		completed = regs->guest.completed;
	}
	if (completed != doorbell)
		return 3;
	printf("%u %u %u\n", completed, regs->guest.error, regs->state);
	return 0;
}
