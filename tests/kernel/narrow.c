/*
 * Calls of 32-bit programs whose arguments lie in memory, made by a 64-bit one.
 *
 *   narrow mmap FILE      maps a file by the old mmap(2)
 *   narrow bind NAME      makes a socket of that name by socketcall(2)
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#define OLD_MMAP   90
#define SOCKETCALL 102
#define SYS_SOCKET 1
#define SYS_BIND   2

static long call_32(long number, long first, long second)
{
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(second) : "memory");
	return (int)result;
}

int main(int argc, char **argv)
{
	uint32_t *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	struct sockaddr_un *name = (void *)(low + 16);

	if (argc != 3 || low == MAP_FAILED)
		return 2;
	if (!strcmp(argv[1], "mmap")) {
		uint32_t arguments[] = {0, 4096, PROT_READ, MAP_PRIVATE, open(argv[2], O_RDONLY), 0};
		long result;

		memcpy(low, arguments, sizeof(arguments));
		result = call_32(OLD_MMAP, (long)low, 0);
		return result < 0 && result >= -4095;
	}
	low[0] = call_32(SOCKETCALL, SYS_SOCKET, (long)memcpy(low, (uint32_t[]){AF_UNIX, SOCK_STREAM, 0}, 12));
	name->sun_family = AF_UNIX;
	strncpy(name->sun_path, argv[2], sizeof(name->sun_path) - 1);
	low[1] = (uint32_t)(uintptr_t)name;
	low[2] = sizeof(*name);
	return call_32(SOCKETCALL, SYS_BIND, (long)low) != 0;
}
