/* Preloaded, this makes each fsync and fdatasync take longer, as on a disk in a
   data centre: by as many nanoseconds as the environment says. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static int later(const char *name, int fd) {
	const char *text = getenv("BENCH_SYNC_NS");
	long ns = text ? atol(text) : 0;
	struct timespec pause = {ns / 1000000000, ns % 1000000000};
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
	nanosleep(&pause, NULL);
	return real(fd);
}

int fsync(int fd) { return later("fsync", fd); }
int fdatasync(int fd) { return later("fdatasync", fd); }
