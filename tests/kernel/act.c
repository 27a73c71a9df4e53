/*
 * Does what its arguments say, one raw syscall after the other, and nothing else to any file.
 *
 *   act openat -100 s:/tmp/x 0 as a , read $a buf 10 , ! unlink s:/none , fork [ exit_group 3 ]
 *
 * Arguments: a number, s:TEXT, buf (64 KiB of zeros), iov (one vector over it), how:FLAGS,MODE,RESOLVE,
 * argv:N (the N texts that follow the call's own arguments), $name (a result kept by `as name`).
 * flood DIR FILES COUNT NEEDLE_AT, crowd DIR FILES THREADS, descend NAME COUNT and int80 NUMBER … are calls
 * too; fork [ … ] and thread [ … ] wait for what they start, leave [ … ] ends at once.
 * `!` expects a failure. Anything that goes otherwise ends the program with status 99.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALL(name) {#name, SYS_##name}

static const struct {
	const char *name;
	long number;
} calls[] = {
#ifdef SYS_open
	CALL(open), CALL(creat), CALL(getdents), CALL(unlink), CALL(rmdir), CALL(rename), CALL(link),
	CALL(symlink), CALL(mkdir), CALL(mknod),
#endif
	CALL(openat), CALL(openat2), CALL(read), CALL(pread64), CALL(readv), CALL(preadv), CALL(preadv2),
	CALL(getdents64), CALL(write), CALL(pwrite64), CALL(writev), CALL(pwritev), CALL(pwritev2),
	CALL(fallocate), CALL(sendfile), CALL(splice), CALL(copy_file_range), CALL(lseek), CALL(fsync),
	CALL(fdatasync), CALL(flock), CALL(truncate), CALL(ftruncate), CALL(mmap), CALL(fcntl), CALL(ioctl),
	CALL(close), CALL(close_range), CALL(unlinkat), CALL(renameat), CALL(renameat2), CALL(linkat),
	CALL(symlinkat), CALL(mkdirat), CALL(mknodat), CALL(execve), CALL(execveat), CALL(exit_group),
	CALL(chdir), CALL(fchdir), CALL(chroot), CALL(unshare), CALL(mount), CALL(setuid), CALL(getpid),
	CALL(kill), CALL(memfd_create), CALL(prctl), CALL(dup2), CALL(pipe2), CALL(open_tree),
	CALL(move_mount), CALL(pivot_root), CALL(umount2),
};

static char buffer[65536];
static struct iovec vector = {buffer, 16};
static struct open_how how;
static char *texts[4096];
static char *none[1];

static struct {
	const char *name;
	long value;
} kept[64];
static int kept_count;

static void fail(const char *what, const char *detail)
{
	fprintf(stderr, "act: %s: %s (%s)\n", what, detail, strerror(errno));
	_exit(99);
}

static long number_of(const char *name)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (!strcmp(calls[i].name, name))
			return calls[i].number;
	fail("unknown call", name);
	return -1;
}

static long value_of(char *text)
{
	unsigned long long flags, mode, resolve;

	if (!strncmp(text, "s:", 2))
		return (long)(text + 2);
	if (!strcmp(text, "buf"))
		return (long)buffer;
	if (!strcmp(text, "iov"))
		return (long)&vector;
	if (!strcmp(text, "env"))
		return (long)none;
	if (sscanf(text, "how:%llu,%llu,%llu", &flags, &mode, &resolve) == 3) {
		how = (struct open_how){flags, mode, resolve};
		return (long)&how;
	}
	if (text[0] == '$') {
		for (int i = kept_count - 1; i >= 0; i--)
			if (!strcmp(kept[i].name, text + 1))
				return kept[i].value;
		fail("no such result", text);
	}
	return strtol(text, NULL, 0);
}

static char **run(char **at);

/* From behind `[` to behind the matching `]`. */
static char **skip(char **at)
{
	int depth = 1;

	for (; *at; at++) {
		depth += !strcmp(*at, "[") - !strcmp(*at, "]");
		if (!depth)
			return at + 1;
	}
	fail("missing", "]");
	return at;
}

static void *run_thread(void *at)
{
	run(at);
	return NULL;
}

/* Opens and closes DIR/0 to DIR/(FILES - 1), COUNT times in all; at NEEDLE_AT also DIR/needle. */
static void flood(const char *dir, long files, long count, long needle_at)
{
	int directory = syscall(SYS_openat, AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	char name[32];

	for (long i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%ld", i % files);
		int fd = syscall(SYS_openat, directory, i == needle_at ? "needle" : name, O_RDONLY, 0);

		if (fd < 0)
			fail("flood", name);
		syscall(SYS_close, fd);
	}
	syscall(SYS_close, directory);
}

struct crowd {
	const char *dir;
	long files;
};

static void *crowd_member(void *at)
{
	struct crowd *crowd = at;

	flood(crowd->dir, crowd->files, crowd->files, -1);
	return NULL;
}

/* THREADS threads flood one directory at the same time. */
static void gather(const char *dir, long files, long threads)
{
	struct crowd crowd = {dir, files};
	pthread_t members[16];

	for (long i = 0; i < threads && i < 16; i++)
		pthread_create(&members[i], NULL, crowd_member, &crowd);
	for (long i = 0; i < threads && i < 16; i++)
		pthread_join(members[i], NULL);
}

/* Makes COUNT directories of NAME, each in the one before, and goes there. */
static void descend(const char *name, long count)
{
	for (long i = 0; i < count; i++)
		if (syscall(SYS_mkdirat, AT_FDCWD, name, 0700) || syscall(SYS_chdir, name))
			fail("descend", name);
}

#if defined(__x86_64__)
/* A call by the 32-bit gate: texts are copied below 4 GiB. */
static long call_32(long number, long *arguments)
{
	static char *low;
	long result;

	if (!low) {
		low = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
		if (low == MAP_FAILED)
			fail("mmap", "below 4 GiB");
	}
	for (int i = 0, used = 0; i < 3; i++)
		if ((unsigned long)arguments[i] > 0xffffffffUL && arguments[i] > 0) {
			strcpy(low + used, (char *)arguments[i]);
			arguments[i] = (long)(low + used);
			used += strlen(low + used) + 1;
		}
	asm volatile("int $0x80"
		     : "=a"(result)
		     : "a"(number), "b"(arguments[0]), "c"(arguments[1]), "d"(arguments[2])
		     : "memory", "r8", "r9", "r10", "r11");
	return (int)result;
}
#endif

static char **run_call(char **at)
{
	long arguments[6] = {0}, number = 0, result;
	int count = 0, failing = 0, narrow = 0;
	const char *name;

	if (!strcmp(*at, "!")) {
		failing = 1;
		at++;
	}
	name = *at++;
	if (!strcmp(name, "fork") || !strcmp(name, "leave") || !strcmp(name, "thread")) {
		char **body = at + 1, **after = skip(body);
		int status = 0;

		if (!strcmp(name, "thread")) {
			pthread_t thread;

			pthread_create(&thread, NULL, run_thread, body);
			pthread_join(thread, NULL);
		} else {
			pid_t child = fork();

			if (!child) {
				run(body);
				_exit(0);
			}
			/* `leave` ends at once, so that the child outlives it. */
			if (!strcmp(name, "leave"))
				_exit(0);
			waitpid(child, &status, 0);
			if (WIFEXITED(status) && WEXITSTATUS(status) == 99)
				_exit(99);
		}
		return *after && !strcmp(*after, ",") ? after + 1 : after;
	}
	if (!strcmp(name, "int80")) {
		narrow = 1;
		number = value_of(*at++);
	} else if (strcmp(name, "flood") && strcmp(name, "crowd") && strcmp(name, "descend")) {
		number = number_of(name);
	}
	while (*at && strcmp(*at, ",") && strcmp(*at, "]") && strcmp(*at, "as")) {
		long texts_count;

		if (sscanf(*at, "argv:%ld", &texts_count) == 1) {
			memcpy(texts, at + 1, texts_count * sizeof(*texts));
			texts[texts_count] = NULL;
			arguments[count++] = (long)texts;
			at += 1 + texts_count;
		} else {
			arguments[count++] = value_of(*at++);
		}
	}
	if (!strcmp(name, "flood")) {
		flood((char *)arguments[0], arguments[1], arguments[2], arguments[3]);
		result = 0;
	} else if (!strcmp(name, "crowd")) {
		gather((char *)arguments[0], arguments[1], arguments[2]);
		result = 0;
	} else if (!strcmp(name, "descend")) {
		descend((char *)arguments[0], arguments[1]);
		result = 0;
#if defined(__x86_64__)
	} else if (narrow) {
		result = call_32(number, arguments);
#endif
	} else {
		result = syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
				 arguments[5]);
	}
	if ((result < 0 && result >= -4095) != failing)
		fail(failing ? "expected to fail" : "failed", name);
	if (*at && !strcmp(*at, "as")) {
		kept[kept_count].name = at[1];
		kept[kept_count++].value = result;
		at += 2;
	}
	if (*at && !strcmp(*at, ","))
		at++;
	return at;
}

static char **run(char **at)
{
	while (*at && strcmp(*at, "]"))
		at = run_call(at);
	return at;
}

int main(int argc __attribute__((unused)), char **argv)
{
	run(argv + 1);
	return 0;
}
