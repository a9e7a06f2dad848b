/* Loaded into the relay with LD_PRELOAD: moves its wall clock, and lets writes and fsyncs of its journal fail.

   RELAY_SHIM names a file of three 64-bit integers that a test writes while the relay runs:
   milliseconds added to the wall clock, errno of every write, errno of every fsync (0: as it is). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct orders { int64_t clock_ms, write_errno, fsync_errno; };

static const struct orders nothing;
static const volatile struct orders *orders = &nothing;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("RELAY_SHIM");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *found = mmap(NULL, sizeof(struct orders), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (found != MAP_FAILED)
        orders = found;
}

static int is_journal(int descriptor) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return strstr(path, "/relay.db") != NULL;
}

static int fails(int64_t with, int descriptor) {
    if (!with || !is_journal(descriptor))
        return 0;
    errno = (int)with;
    return 1;
}

static void *next(const char *name) { return dlsym(RTLD_NEXT, name); }

ssize_t write(int descriptor, const void *from, size_t size) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = next("write");
    return fails(orders->write_errno, descriptor) ? -1 : real(descriptor, from, size);
}

ssize_t pwrite(int descriptor, const void *from, size_t size, off_t at) {
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (!real) real = next("pwrite");
    return fails(orders->write_errno, descriptor) ? -1 : real(descriptor, from, size, at);
}

ssize_t pwrite64(int descriptor, const void *from, size_t size, off64_t at) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real) real = next("pwrite64");
    return fails(orders->write_errno, descriptor) ? -1 : real(descriptor, from, size, at);
}

int fsync(int descriptor) {
    static int (*real)(int);
    if (!real) real = next("fsync");
    return fails(orders->fsync_errno, descriptor) ? -1 : real(descriptor);
}

int fdatasync(int descriptor) {
    static int (*real)(int);
    if (!real) real = next("fdatasync");
    return fails(orders->fsync_errno, descriptor) ? -1 : real(descriptor);
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = next("clock_gettime");
    int answer = real(clock, at);
    int64_t offset_ms = orders->clock_ms;
    if (offset_ms && !answer && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        at->tv_sec += offset_ms / 1000;
    return answer;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    (void)zone;
    struct timespec now;
    int answer = clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return answer;
}

time_t time(time_t *into) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (into)
        *into = now.tv_sec;
    return now.tv_sec;
}
