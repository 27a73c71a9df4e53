/* A program that holds its memory's lock: nobody can read its environment while it does.

   hold_memory PAGE FILE: the contents of PAGE never come. Does what it is told by a letter on standard input:

   r  a thread reads PAGE by way of /proc/self/mem: the kernel waits for the contents, with the lock in its hand
   w  another thread wants the lock to itself: whoever comes now waits behind it. Writes that thread's number before.
   o  opens FILE, and writes a line */

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static char *page;
static int memory, begin_reading[2], begin_waiting[2];

static void *read_page(void *unused)
{
	char byte;

	(void)unused;
	if (read(begin_reading[0], &byte, 1) == 1 && pread(memory, &byte, 1, (off_t)(unsigned long)page) < 0)
		perror("read");
	return NULL;
}

static void *want_the_lock(void *unused)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%ld\n", syscall(SYS_gettid));

	(void)unused;
	if (read(begin_waiting[0], text + length, 1) == 1 && write(1, text, length) == length)
		mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return NULL;
}

int main(int count, char **arguments)
{
	pthread_t thread;
	char letter;
	int file = count == 3 ? open(arguments[1], O_RDONLY | O_CLOEXEC) : -1;

	memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0);
	if (memory < 0 || page == MAP_FAILED || pipe(begin_reading) || pipe(begin_waiting)) {
		perror("hold_memory");
		return 2;
	}
	if (pthread_create(&thread, NULL, read_page, NULL) || pthread_create(&thread, NULL, want_the_lock, NULL))
		return 3;
	while (read(0, &letter, 1) == 1) {
		int written = 1;

		if (letter == 'r')
			written = write(begin_reading[1], "", 1);
		else if (letter == 'w')
			written = write(begin_waiting[1], "", 1);
		else
			written = close(open(arguments[2], O_RDONLY)) || write(1, "opened\n", 7) != 7 ? -1 : 1;
		if (written != 1)
			return 4;
	}
	return 0;
}
