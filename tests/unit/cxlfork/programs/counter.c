// SPDX-License-Identifier: GPL-2.0-or-later
/* Appends increasing numbers to a file, one a millisecond. usage: counter FILE COUNT */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int fd = argc == 3 ? open(argv[1], O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
	char line[32];

	if (fd < 0)
		return 2;
	for (int number = 0; number < atoi(argv[2]); number++) {
		int bytes = sprintf(line, "%d\n", number);

		if (write(fd, line, (size_t)bytes) != bytes)
			return 1;
		usleep(1000);
	}
	return 3;
}
