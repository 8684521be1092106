// Makes the file system fail on demand, for the process that it is loaded into (LD_PRELOAD): the nth call of some kinds under one folder.
// Told through open(): "/ecokit-fault/arm/<mask>/<nth>/<errno>/<sticky>/<folder>" begins to count, "/ecokit-fault/count" can be read.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, OPEN = 4, NAME = 8, SIZE = 16 };
static atomic_int mask, sticky, failure;
static atomic_long nth, counted, fired;
static char folder[4096];
static size_t length;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define NEXT(name, ...) ({ static __typeof__(&name) next; if (!next) next = REAL(name); next(__VA_ARGS__); })

static int inside(const char *path) { return path && length && strncmp(path, folder, length) == 0; }
static int inside_fd(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  if (n <= 0) return 0;
  path[n] = 0;
  return inside(path);
}
// 1: this call is to fail; its errno is set.
static int due(int kind) {
  if (!(atomic_load(&mask) & kind)) return 0;
  long now = atomic_fetch_add(&counted, 1) + 1, at = atomic_load(&nth);
  if (at <= 0 || (atomic_load(&sticky) ? now < at : now != at)) return 0;
  atomic_fetch_add(&fired, 1);
  errno = atomic_load(&failure);
  return 1;
}
static int by_fd(int kind, int fd) { return atomic_load(&mask) & kind && inside_fd(fd) && due(kind); }
static int by_path(int kind, const char *path) { return atomic_load(&mask) & kind && inside(path) && due(kind); }
// A disk that gets full takes the first half of what does not fit.
static size_t part(size_t bytes) { return atomic_load(&sticky) && atomic_load(&fired) == 1 && bytes > 1 ? bytes / 2 : 0; }

static int control(const char *path) {
  if (strncmp(path, "/ecokit-fault/", 14)) return -2;
  int m, s, e, at = 0;
  long n;
  if (sscanf(path, "/ecokit-fault/arm/%d/%ld/%d/%d%n", &m, &n, &e, &s, &at) == 4) {
    atomic_store(&mask, 0);
    snprintf(folder, sizeof folder, "%s", path + at);
    length = strlen(folder);
    atomic_store(&counted, 0);
    atomic_store(&fired, 0);
    atomic_store(&nth, n);
    atomic_store(&failure, e);
    atomic_store(&sticky, s);
    atomic_store(&mask, m);
  } else if (!strcmp(path, "/ecokit-fault/count")) {
    char text[64];
    int fd = memfd_create("count", 0), n = snprintf(text, sizeof text, "%ld %ld", atomic_load(&counted), atomic_load(&fired));
    NEXT(write, fd, text, (size_t)n);
    lseek(fd, 0, SEEK_SET);
    return fd;
  }
  errno = ENOENT;
  return -1;
}

#define OPENING(name)                                                       \
  int name(const char *path, int flags, ...) {                              \
    va_list more;                                                           \
    va_start(more, flags);                                                  \
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0; \
    va_end(more);                                                           \
    int told = control(path);                                               \
    if (told != -2) return told;                                            \
    if (by_path(OPEN, path)) return -1;                                     \
    return NEXT(name, path, flags, mode);                                   \
  }
OPENING(open)
OPENING(open64)
#define OPENING_AT(name)                                                    \
  int name(int at, const char *path, int flags, ...) {                      \
    va_list more;                                                           \
    va_start(more, flags);                                                  \
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0; \
    va_end(more);                                                           \
    if (by_path(OPEN, path)) return -1;                                     \
    return NEXT(name, at, path, flags, mode);                               \
  }
OPENING_AT(openat)
OPENING_AT(openat64)

ssize_t write(int fd, const void *from, size_t bytes) {
  if (by_fd(WRITE, fd)) return part(bytes) ? NEXT(write, fd, from, part(bytes)) : -1;
  return NEXT(write, fd, from, bytes);
}
ssize_t pwrite(int fd, const void *from, size_t bytes, off_t at) {
  if (by_fd(WRITE, fd)) return part(bytes) ? NEXT(pwrite, fd, from, part(bytes), at) : -1;
  return NEXT(pwrite, fd, from, bytes, at);
}
ssize_t pwrite64(int fd, const void *from, size_t bytes, off64_t at) {
  if (by_fd(WRITE, fd)) return part(bytes) ? NEXT(pwrite64, fd, from, part(bytes), at) : -1;
  return NEXT(pwrite64, fd, from, bytes, at);
}
ssize_t writev(int fd, const struct iovec *from, int count) {
  if (by_fd(WRITE, fd)) return -1;
  return NEXT(writev, fd, from, count);
}
ssize_t pwritev(int fd, const struct iovec *from, int count, off_t at) {
  if (by_fd(WRITE, fd)) return -1;
  return NEXT(pwritev, fd, from, count, at);
}
ssize_t pwritev64(int fd, const struct iovec *from, int count, off64_t at) {
  if (by_fd(WRITE, fd)) return -1;
  return NEXT(pwritev64, fd, from, count, at);
}
int fsync(int fd) { return by_fd(SYNC, fd) ? -1 : NEXT(fsync, fd); }
int fdatasync(int fd) { return by_fd(SYNC, fd) ? -1 : NEXT(fdatasync, fd); }
int ftruncate(int fd, off_t to) { return by_fd(SIZE, fd) ? -1 : NEXT(ftruncate, fd, to); }
int ftruncate64(int fd, off64_t to) { return by_fd(SIZE, fd) ? -1 : NEXT(ftruncate64, fd, to); }
int rename(const char *from, const char *to) { return by_path(NAME, to) ? -1 : NEXT(rename, from, to); }
int link(const char *from, const char *to) { return by_path(NAME, to) ? -1 : NEXT(link, from, to); }
