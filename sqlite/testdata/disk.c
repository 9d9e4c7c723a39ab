/* Preloaded, this keeps a copy of each database file and write-ahead log as the disk would
   have it after a loss of power, in the directory that HOOKS_DISK names. A write reaches the
   copy when the file is synced. About half of the writes reach it at once as well, as if the
   operating system had written them early, so that writes that were not synced survive in any
   combination. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct change {
	struct change *next;
	off_t offset; /* or the new size, if there is no data */
	size_t size;
	char *data;
};

/* A file with its changes since the last sync, oldest first. */
struct file {
	struct file *next;
	ino_t inode;
	int copy;
	struct change *first, **end;
};

static struct file *files;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned changes;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int ends(const char *text, const char *with) {
	size_t n = strlen(text), m = strlen(with);
	return n >= m && strcmp(text + n - m, with) == 0;
}

/* find returns the file of the descriptor, or NULL if there is no copy of it. */
static struct file *find(int fd) {
	struct stat is;
	if (fstat(fd, &is) != 0 || !S_ISREG(is.st_mode))
		return NULL;
	for (struct file *f = files; f; f = f->next)
		if (f->inode == is.st_ino)
			return f;
	char link[64], path[4096], copy[8192];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof path - 1);
	path[n > 0 ? n : 0] = 0;
	if (!ends(path, ".db") && !ends(path, ".db-wal"))
		return NULL;
	snprintf(copy, sizeof copy, "%s%s", getenv("HOOKS_DISK"), strrchr(path, '/'));
	struct file *f = calloc(1, sizeof *f);
	f->inode = is.st_ino;
	f->copy = open(copy, O_RDWR | O_CREAT, 0600);
	f->end = &f->first;
	f->next = files;
	if (f->copy < 0)
		abort();
	return files = f;
}

static void apply(struct file *f, struct change *c) {
	if (c->data ? REAL(pwrite64)(f->copy, c->data, c->size, c->offset) != (ssize_t)c->size : REAL(ftruncate64)(f->copy, c->offset) != 0)
		abort();
}

static void changed(int fd, const void *data, size_t size, off_t offset) {
	pthread_mutex_lock(&lock);
	struct file *f = find(fd);
	if (f) {
		struct change *c = calloc(1, sizeof *c);
		c->offset = offset;
		if (data) {
			c->size = size;
			c->data = memcpy(malloc(size), data, size);
		}
		*f->end = c;
		f->end = &c->next;
		if (changes++ * 2654435761u >> 31)
			apply(f, c);
	}
	pthread_mutex_unlock(&lock);
}

/* synced applies the changes up to the last one, which were there when the sync began. */
static void synced(struct file *f, struct change *last) {
	pthread_mutex_lock(&lock);
	while (f->first) {
		struct change *c = f->first;
		apply(f, c);
		if (!(f->first = c->next))
			f->end = &f->first;
		int done = c == last;
		free(c->data);
		free(c);
		if (done)
			break;
	}
	pthread_mutex_unlock(&lock);
}

static int sync_with(int (*real)(int), int fd) {
	pthread_mutex_lock(&lock);
	struct file *f = find(fd);
	struct change *last = f ? f->first : NULL;
	while (last && last->next)
		last = last->next;
	pthread_mutex_unlock(&lock);
	int result = real(fd);
	if (result == 0 && last)
		synced(f, last);
	return result;
}

int fsync(int fd) { return sync_with(REAL(fsync), fd); }
int fdatasync(int fd) { return sync_with(REAL(fdatasync), fd); }

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
	ssize_t n = REAL(pwrite64)(fd, data, size, offset);
	if (n > 0)
		changed(fd, data, n, offset);
	return n;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return pwrite64(fd, data, size, offset); }

int ftruncate64(int fd, off64_t size) {
	int result = REAL(ftruncate64)(fd, size);
	if (result == 0)
		changed(fd, NULL, 0, size);
	return result;
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }
