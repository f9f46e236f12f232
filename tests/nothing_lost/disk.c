/* A disk that fails, or a machine that dies, at the n-th change below one folder: preloaded, so that HDF5, safetensors
 * and Python all pass through it. `disk_arm` begins to count; what happens then is told by `what`. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NOTHING, DIE_BEFORE, DIE_HALFWAY, DIE_AFTER, FAIL };

static char root[PATH_MAX];
static size_t root_length;
static atomic_long count;
static long nth;
static int what, number;
static char kinds[16]; /* which calls count: w(rite) s(ync) r(ename) c(lose) o(pen to write) u(nlink) m(ake folder) */
static char last[PATH_MAX + 32];

void disk_arm(const char *folder, const char *which, long at, int happens, int error) {
    snprintf(root, sizeof root, "%s", folder);
    snprintf(kinds, sizeof kinds, "%s", which);
    root_length = strlen(root);
    nth = at, what = happens, number = error;
    atomic_store(&count, 0);
}

void disk_disarm(void) { root_length = 0; }
long disk_count(void) { return atomic_load(&count); }
const char *disk_last(void) { return last; }

static int below(const char *path) {
    return root_length && path && !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

static int is_ours(int fd, char *path) {
    char link[64];
    if (!root_length) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path);
}

/* Whether this call is the n-th; it may not return. */
static int now(char kind, const char *path) {
    if (!strchr(kinds, kind) || atomic_fetch_add(&count, 1) + 1 != nth) return 0;
    snprintf(last, sizeof last, "%c %s", kind, path);
    if (what == DIE_BEFORE) raise(SIGKILL);
    return 1;
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define AROUND(kind, path, call) \
    if (now(kind, path)) { \
        if (what == FAIL) { errno = number; return -1; } \
        __typeof__(call) given = call; \
        if (what != NOTHING) raise(SIGKILL); \
        return given; \
    } \
    return call

/* Half of what is to be written arrives, then the machine dies, or the disk is full. */
#define WRITING(name, fd, call, half) \
    char path[PATH_MAX]; \
    if (is_ours(fd, path) && now('w', path)) { \
        if (what == DIE_HALFWAY || what == FAIL) { half; } \
        if (what == FAIL) { errno = number; return -1; } \
        if (what == DIE_AFTER) call; \
        if (what != NOTHING) raise(SIGKILL); \
    } \
    return call

ssize_t write(int fd, const void *from, size_t n) {
    REAL(write);
    WRITING(write, fd, real(fd, from, n), if (real(fd, from, n / 2)) {});
}
ssize_t pwrite(int fd, const void *from, size_t n, off_t at) {
    REAL(pwrite);
    WRITING(pwrite, fd, real(fd, from, n, at), if (real(fd, from, n / 2, at)) {});
}
ssize_t pwrite64(int fd, const void *from, size_t n, off64_t at) {
    REAL(pwrite64);
    WRITING(pwrite64, fd, real(fd, from, n, at), if (real(fd, from, n / 2, at)) {});
}
ssize_t writev(int fd, const struct iovec *parts, int n) {
    REAL(writev);
    WRITING(writev, fd, real(fd, parts, n), if (real(fd, parts, n / 2)) {});
}
ssize_t sendfile(int to, int from, off_t *at, size_t n) {
    REAL(sendfile);
    WRITING(sendfile, to, real(to, from, at, n), if (real(to, from, at, 100)) {});
}
ssize_t sendfile64(int to, int from, off64_t *at, size_t n) {
    REAL(sendfile64);
    WRITING(sendfile64, to, real(to, from, at, n), if (real(to, from, at, 100)) {});
}
ssize_t copy_file_range(int from, off64_t *a, int to, off64_t *b, size_t n, unsigned flags) {
    REAL(copy_file_range);
    WRITING(copy_file_range, to, real(from, a, to, b, n, flags), if (real(from, a, to, b, 100, flags)) {});
}
int ftruncate(int fd, off_t n) {
    REAL(ftruncate);
    WRITING(ftruncate, fd, real(fd, n), );
}
int ftruncate64(int fd, off64_t n) {
    REAL(ftruncate64);
    WRITING(ftruncate64, fd, real(fd, n), );
}
int truncate(const char *path, off_t n) { REAL(truncate); if (below(path)) { AROUND('w', path, real(path, n)); } return real(path, n); }
int truncate64(const char *path, off64_t n) { REAL(truncate64); if (below(path)) { AROUND('w', path, real(path, n)); } return real(path, n); }

int fsync(int fd) {
    REAL(fsync);
    char path[PATH_MAX];
    if (is_ours(fd, path)) { AROUND('s', path, real(fd)); }
    return real(fd);
}
int fdatasync(int fd) {
    REAL(fdatasync);
    char path[PATH_MAX];
    if (is_ours(fd, path)) { AROUND('s', path, real(fd)); }
    return real(fd);
}

/* A file that is closed with an error is closed all the same. */
int close(int fd) {
    REAL(close);
    char path[PATH_MAX];
    if (is_ours(fd, path) && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY && now('c', path)) {
        int given = real(fd);
        if (what == FAIL) { errno = number; return -1; }
        if (what != NOTHING) raise(SIGKILL);
        return given;
    }
    return real(fd);
}

int rename(const char *old, const char *new) { REAL(rename); if (below(new)) { AROUND('r', new, real(old, new)); } return real(old, new); }
int renameat(int a, const char *old, int b, const char *new) {
    REAL(renameat);
    if (below(new)) { AROUND('r', new, real(a, old, b, new)); }
    return real(a, old, b, new);
}
int unlink(const char *path) { REAL(unlink); if (below(path)) { AROUND('u', path, real(path)); } return real(path); }
int rmdir(const char *path) { REAL(rmdir); if (below(path)) { AROUND('u', path, real(path)); } return real(path); }
int unlinkat(int at, const char *path, int flags) {
    REAL(unlinkat);
    char folder[PATH_MAX];
    if (below(path) || (path[0] != '/' && at >= 0 && is_ours(at, folder))) { AROUND('u', path, real(at, path, flags)); }
    return real(at, path, flags);
}
int mkdir(const char *path, mode_t mode) { REAL(mkdir); if (below(path)) { AROUND('m', path, real(path, mode)); } return real(path, mode); }

#define OPENING(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = va_arg(rest, mode_t); \
        va_end(rest); \
        if ((flags & O_ACCMODE) != O_RDONLY && below(path)) { AROUND('o', path, real(path, flags, mode)); } \
        return real(path, flags, mode); \
    }
OPENING(open)
OPENING(open64)
