/*
 * race NAME OTHER COUNT: removes COUNT files by a name that a thread of its own turns into another one all the time.
 *
 * NAME and OTHER are directories of the same length; each has the files 0000, 0001 ... Prints how many of NAME are gone.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char name[512];
static char *one, *other;
static size_t length;
static atomic_int over, turns;

static void *turn(void *unused)
{
	while (!over) {
		memcpy(name, other, length);
		memcpy(name, one, length);
		turns++;
	}
	return unused;
}

int main(int argc, char **argv)
{
	int gone = 0;
	pthread_t thread;

	if (argc != 4 || strlen(argv[1]) != strlen(argv[2]))
		return 2;
	one = argv[1];
	other = argv[2];
	length = strlen(one);
	memcpy(name, one, length);
	pthread_create(&thread, NULL, turn, NULL);
	for (int number = 0; number < atoi(argv[3]); number++) {
		char path[512];
		int before = turns;

		/* However busy the machine is, the thread has had its turn. */
		while (turns == before)
			sched_yield();

		snprintf(name + length, sizeof(name) - length, "/%04d", number);
		unlink(name);
		snprintf(path, sizeof(path), "%s/%04d", one, number);
		gone += access(path, F_OK) != 0;
	}
	over = 1;
	pthread_join(thread, NULL);
	printf("%d\n", gone);
	return 0;
}
