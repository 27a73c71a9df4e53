// SPDX-License-Identifier: Apache-2.0
// Two processes and one TCP connection: a stream in large writes, or 64 bytes there and back again.
// usage: stream throughput|latency SECONDS ADDRESS [CLIENT_NAMESPACE]
// Prints bytes per second, or the median nanoseconds of one round trip; and the processor's nanoseconds that both
// processes took for a mebibyte, or for a round trip.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PORT	 5201
#define CHUNK	 (128 * 1024)
#define MESSAGE	 64
#define MOST	 4000000

static char buffer[CHUNK];
static int samples[MOST];

static double now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec * 1e9 + at.tv_nsec;
}

static double used(int who)
{
	struct rusage usage;

	getrusage(who, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e9 +
	       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static int whole(int fd, int writing)
{
	for (int done = 0; done < MESSAGE;) {
		ssize_t n = writing ? write(fd, buffer, MESSAGE - done) : read(fd, buffer, MESSAGE - done);

		if (n <= 0)
			return 0;
		done += n;
	}
	return 1;
}

static int serve(int listener, int latency)
{
	int fd = accept(listener, NULL, NULL), one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (latency)
		while (whole(fd, 0) && whole(fd, 1))
			;
	else
		while (read(fd, buffer, sizeof(buffer)) > 0)
			;
	return 0;
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

int main(int argc, char **argv)
{
	int latency = !strcmp(argv[1], "latency"), one = 1, count = 0, fd;
	double seconds = atof(argv[2]), begin, end, total = 0, result, units, before_all;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	pid_t child;

	inet_pton(AF_INET, argv[3], &address.sin_addr);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (void *)&address, sizeof(address)) || listen(listener, 1))
		return perror("listen"), 1;
	child = fork();
	if (!child) {
		/* To wake another processor takes several times what is to be measured. */
		pin(latency ? 0 : 1);
		return serve(listener, latency);
	}
	pin(0);
	if (argc > 4) {
		int other = open(argv[4], O_RDONLY);

		if (other < 0 || setns(other, CLONE_NEWNET))
			return perror("setns"), 1;
	}
	fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (void *)&address, sizeof(address)))
		return perror("connect"), 1;
	before_all = used(RUSAGE_SELF);
	begin = now();
	end = begin + seconds * 1e9;
	if (latency) {
		for (double before = begin, after; before < end && count < MOST; before = after) {
			if (!whole(fd, 1) || !whole(fd, 0))
				return perror("round trip"), 1;
			after = now();
			samples[count++] = after - before;
		}
		units = count;
	} else {
		while (now() < end) {
			ssize_t n = write(fd, buffer, sizeof(buffer));

			if (n <= 0)
				return perror("write"), 1;
			total += n;
		}
		units = total / (1 << 20);
	}
	result = total / ((now() - begin) / 1e9);
	before_all = used(RUSAGE_SELF) - before_all;
	close(fd);
	waitpid(child, NULL, 0);
	if (latency) {
		qsort(samples, count, sizeof(int), compare);
		result = samples[count / 2];
	}
	printf("%.0f %.0f\n", result, (before_all + used(RUSAGE_CHILDREN)) / units);
	return 0;
}
