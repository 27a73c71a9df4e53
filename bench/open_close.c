// SPDX-License-Identifier: Apache-2.0
// Prints the nanoseconds that one round of open, read and close of each named file takes.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long rounds = atol(argv[1]);
	struct timespec before, after;
	char byte;

	clock_gettime(CLOCK_MONOTONIC, &before);
	for (long i = 0; i < rounds; i++) {
		int fd = open(argv[2 + i % (argc - 2)], O_RDONLY);

		if (fd < 0 || read(fd, &byte, 1) < 0)
			return 1;
		close(fd);
	}
	clock_gettime(CLOCK_MONOTONIC, &after);
	printf("%.1f\n", ((after.tv_sec - before.tv_sec) * 1e9 + (after.tv_nsec - before.tv_nsec)) / rounds);
	return 0;
}
