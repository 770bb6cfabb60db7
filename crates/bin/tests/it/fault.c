/* Stands between a program and its disk and clock, and makes them fail on demand.
 *
 * Loaded with LD_PRELOAD. What to do stands in the file that FAULT_ORDERS names, which is mapped, so
 * that whoever writes to it is obeyed at the next call. Only regular files fail, and only after the
 * standard streams; all else passes through.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct orders {
    volatile int64_t room;         /* writes that still succeed; negative: all of them */
    volatile int64_t bad_flushes;  /* flushes that fail before one succeeds again */
    volatile int64_t leap;         /* seconds by which the clock is wrong */
    volatile int64_t refused;      /* writes that failed so far */
    volatile int64_t lost;         /* flushes that failed so far */
};

static struct orders *orders;

__attribute__((constructor)) static void open_orders(void) {
    const char *path = getenv("FAULT_ORDERS");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *place = mmap(NULL, sizeof *orders, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (place != MAP_FAILED)
        orders = place;
    close(file);
}

static int is_a_file(int fd) {
    struct stat status;
    return orders && fd > 2 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

/* How many of `count` bytes still fit: all, the first half of the last write that does, or none. */
static size_t fitting(size_t count) {
    int64_t room = orders->room;
    while (room > 0 && !__atomic_compare_exchange_n(&orders->room, &room, room - 1, 0,
                                                   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
    if (room < 0 || room > 1)
        return count;
    if (room == 1)
        return count > 1 ? count / 2 : count;
    __atomic_fetch_add(&orders->refused, 1, __ATOMIC_SEQ_CST);
    return 0;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    static ssize_t (*next)(int, const void *, size_t, off64_t);
    if (!next)
        next = dlsym(RTLD_NEXT, "pwrite64");
    if (count > 0 && is_a_file(fd) && (count = fitting(count)) == 0) {
        errno = ENOSPC;
        return -1;
    }
    return next(fd, bytes, count, offset);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    static ssize_t (*next)(int, const void *, size_t);
    if (!next)
        next = dlsym(RTLD_NEXT, "write");
    if (count > 0 && is_a_file(fd) && (count = fitting(count)) == 0) {
        errno = ENOSPC;
        return -1;
    }
    return next(fd, bytes, count);
}

static int flush_fails(int fd) {
    if (!is_a_file(fd))
        return 0;
    int64_t left = orders->bad_flushes;
    while (left > 0 && !__atomic_compare_exchange_n(&orders->bad_flushes, &left, left - 1, 0,
                                                   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
    if (left <= 0)
        return 0;
    __atomic_fetch_add(&orders->lost, 1, __ATOMIC_SEQ_CST);
    errno = EIO;
    return 1;
}

int fsync(int fd) {
    static int (*next)(int);
    if (!next)
        next = dlsym(RTLD_NEXT, "fsync");
    return flush_fails(fd) ? -1 : next(fd);
}

int fdatasync(int fd) {
    static int (*next)(int);
    if (!next)
        next = dlsym(RTLD_NEXT, "fdatasync");
    return flush_fails(fd) ? -1 : next(fd);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*next)(clockid_t, struct timespec *);
    if (!next)
        next = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = next(clock, now);
    if (!failed && clock == CLOCK_REALTIME && orders)
        now->tv_sec += orders->leap;
    return failed;
}
