/*
 * Stands between a process and the C library (LD_PRELOAD), for the files below one directory.
 *
 * It counts calls and lets the N-th one fail, kill or stop the process; and it writes a journal of
 * all that the processes of a test ask of the disk, in one order, from which support/disk.js builds
 * what may be on the disk after a power cut at any point. Every real call is a plain system call,
 * so that nothing here depends on the order in which libraries are loaded.
 *
 *   FAULTS_DIRECTORY   absolute path, without links: files below it are watched
 *   FAULTS_FILE        only files whose path contains this are counted (the journal has them all)
 *   FAULTS_CALLS       which calls count: w (writes), s (syncs, and writes through O_DSYNC),
 *                      d (names: create, rename, unlink, mkdir)
 *   FAULTS_AT          number of the call that meets the fault, from 1
 *   FAULTS_DO          kill, kill-after, torn (half a write, then kill), stop, eio, enospc, short
 *   FAULTS_FOREVER     if set, every counted call from FAULTS_AT on meets it
 *   FAULTS_STATE       file of two 64-bit numbers: calls counted, faults met
 *   FAULTS_JOURNAL     the journal, which all processes of a test append to
 *   FAULTS_LIE         if set, no sync gets into the journal: a disk that lies
 *   FAULTS_SYNC_US     a sync takes up to so many microseconds longer
 *   FAULTS_BOOT_ID     file that is read instead of /proc/sys/kernel/random/boot_id
 *
 * A call is made and its record appended under one lock over all processes, else the order of the
 * journal would not be that of the disk. Syncs have two records, because others write meanwhile.
 * For the same reason processes with a journal are killed by FAULTS_DO only: a signal from outside
 * could come between a call and its record.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "journal.h"

enum { WRITES = 1, SYNCS = 2, NAMES = 4 };
enum { GO_ON, FAIL, HALF };
enum { MAX_FDS = 4096, HIGH_FD = 900 };
#define EXPORT __attribute__((visibility("default")))
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

/* What is known of a descriptor. One that was closed behind our back has another inode. */
struct known {
  ino_t inode;
  dev_t device;
  int flags, counts;
};

static struct known known[MAX_FDS];
static char directory[PATH_MAX];
static const char *file_part, *action, *boot_id;
static int counted, lies, forever, sync_us;
static uint64_t at;
static volatile uint64_t own_state[2], *state = own_state;

static int open_high(const char *path, int flags) {
  int low = (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0600);
  int high = low < 0 ? -1 : fcntl(low, F_DUPFD_CLOEXEC, HIGH_FD);
  if (high < 0) {
    fprintf(stderr, "interpose: cannot open %s\n", path);
    _exit(99);
  }
  syscall(SYS_close, low);
  return high;
}

__attribute__((constructor)) static void start(void) {
  const char *given = getenv("FAULTS_DIRECTORY"), *path, *calls = getenv("FAULTS_CALLS");
  snprintf(directory, sizeof directory, "%s/", given ? given : "/nowhere");
  file_part = getenv("FAULTS_FILE");
  action = getenv("FAULTS_DO") ? getenv("FAULTS_DO") : "";
  boot_id = getenv("FAULTS_BOOT_ID");
  lies = getenv("FAULTS_LIE") != NULL;
  forever = getenv("FAULTS_FOREVER") != NULL;
  sync_us = getenv("FAULTS_SYNC_US") ? atoi(getenv("FAULTS_SYNC_US")) : 0;
  at = getenv("FAULTS_AT") ? strtoull(getenv("FAULTS_AT"), NULL, 10) : 0;
  for (; calls && *calls; calls++) {
    counted |= *calls == 'w' ? WRITES : *calls == 's' ? SYNCS : *calls == 'd' ? NAMES : 0;
  }
  if ((path = getenv("FAULTS_STATE"))) {
    int fd = open_high(path, O_RDWR);
    void *map = mmap(NULL, sizeof own_state, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED) state = map;
  }
  if ((path = getenv("FAULTS_JOURNAL"))) {
    journal = open_high(path, O_WRONLY | O_APPEND);
    journal_lock = open_high(path, O_RDONLY);
  }
}

/* ---------------------------------------------------------------- faults */

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

/* Counts a call and says what becomes of it. */
static int meet(int kinds, int counts) {
  if (!(kinds & counted) || !counts) return GO_ON;
  uint64_t number = __atomic_add_fetch(&state[0], 1, __ATOMIC_SEQ_CST);
  if (!at || (forever ? number < at : number != at)) return GO_ON;
  __atomic_add_fetch(&state[1], 1, __ATOMIC_SEQ_CST);
  if (!strcmp(action, "kill")) die();
  if (!strcmp(action, "stop")) {
    /* Whoever reads the process's lines learns when it is time to look for others. */
    static const char line[] = "{\"stops\":true}\n";
    syscall(SYS_write, 1, line, sizeof line - 1);
    kill(getpid(), SIGSTOP);
  }
  if (!strcmp(action, "torn") || !strcmp(action, "short")) return HALF;
  if (strcmp(action, "eio") && strcmp(action, "enospc")) return GO_ON;
  errno = action[1] == 'i' ? EIO : ENOSPC;
  return FAIL;
}

/* After the call that met `kill-after` or `torn`; the journal has it already. */
static void meet_after(int kinds, int counts) {
  int dies = !strcmp(action, "kill-after") || !strcmp(action, "torn");
  if (dies && (kinds & counted) && counts && at && state[0] == at) die();
}

/* ---------------------------------------------------------------- descriptors */

static struct known *know(int fd) {
  struct stat stat;
  if (fd < 0 || fd >= MAX_FDS || !known[fd].inode || fstat(fd, &stat) < 0) return NULL;
  if (stat.st_ino != known[fd].inode || stat.st_dev != known[fd].device) return NULL;
  return &known[fd];
}

/* Remembers a descriptor if its file is watched. */
static void learn(int fd, int flags, int is_new) {
  char link[64], path[PATH_MAX];
  struct stat stat;
  if (fd >= MAX_FDS) return;
  known[fd].inode = 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0 || fstat(fd, &stat) < 0) return;
  path[length] = 0;
  size_t prefix = strlen(directory) - 1;
  if (strncmp(path, directory, prefix) || (path[prefix] && path[prefix] != '/')) return;
  int is_directory = S_ISDIR(stat.st_mode);
  known[fd] = (struct known){stat.st_ino, stat.st_dev,
                             flags | (is_directory ? O_DIRECTORY : 0),
                             !file_part || strstr(path, file_part) != NULL};
  if (is_new) append((struct record){.kind = CREATE, .inode = stat.st_ino}, path, NULL, NULL, 0);
  else if (flags & O_TRUNC) {
    append((struct record){.kind = TRUNCATE, .inode = stat.st_ino}, NULL, NULL, NULL, 0);
  }
}

static int is_watched(const char *path) { return !strncmp(path, directory, strlen(directory)); }

static int counts_path(const char *path) { return !file_part || strstr(path, file_part) != NULL; }

static int open_at(const char *path, int flags, mode_t mode) {
  int saved = errno;
  if (boot_id && path && !strcmp(path, BOOT_ID)) path = boot_id;
  int creates = (flags & O_CREAT) != 0;
  enter();
  int is_new = creates && faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0;
  errno = saved;
  int names = is_new && is_watched(path) ? NAMES : 0;
  int fd = meet(names, counts_path(path)) == FAIL
    ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
  saved = errno;
  if (fd >= 0 && fd < HIGH_FD) learn(fd, flags, is_new);
  leave();
  if (names) meet_after(names, counts_path(path));
  errno = saved;
  return fd;
}

/* Neither Node.js nor the addon calls openat. */
#define OPEN(name)                                            \
  EXPORT int name(const char *path, int flags, ...) {         \
    mode_t mode = 0;                                          \
    if (flags & (O_CREAT | __O_TMPFILE)) {                    \
      va_list arguments;                                      \
      va_start(arguments, flags);                             \
      mode = (mode_t)va_arg(arguments, unsigned);             \
      va_end(arguments);                                      \
    }                                                         \
    return open_at(path, flags, mode);                        \
  }
OPEN(open)
OPEN(open64)

/* ---------------------------------------------------------------- writes */

/* At the file's own position where `offset` is negative. */
static ssize_t real_write(int fd, const struct iovec *data, int parts, off_t offset) {
  if (offset < 0) return syscall(SYS_writev, fd, data, (long)parts);
  return syscall(SYS_pwritev, fd, data, (long)parts, (long)offset, 0L);
}

/*
 * Ends at a sector, because no system tears one: a write within a sector happens or not, and one
 * that does not happen finds no space.
 */
static ssize_t half_write(int fd, const struct iovec *data, int parts, off_t offset) {
  size_t total = 0;
  for (int part = 0; part < parts; part++) total += data[part].iov_len;
  size_t left = total / 2 & ~(size_t)511;
  if (!left) {
    errno = ENOSPC;
    return -1;
  }
  ssize_t done = 0;
  for (int part = 0; part < parts && left > 0; part++) {
    size_t bytes = data[part].iov_len < left ? data[part].iov_len : left;
    struct iovec piece = {data[part].iov_base, bytes};
    ssize_t wrote = real_write(fd, &piece, 1, offset < 0 ? offset : offset + done);
    if (wrote < 0) return done ? done : wrote;
    done += wrote;
    left -= (size_t)wrote;
  }
  return done;
}

static ssize_t write_parts(int fd, const struct iovec *data, int parts, off_t offset) {
  struct known *file = know(fd);
  if (!file) return real_write(fd, data, parts, offset);
  int is_sync = (file->flags & (O_DSYNC | O_SYNC)) != 0;
  int kinds = WRITES | (is_sync ? SYNCS : 0);
  int fate = meet(kinds, file->counts);
  if (fate == FAIL) return -1;
  enter();
  off_t from = offset;
  if (offset < 0) from = lseek(fd, 0, file->flags & O_APPEND ? SEEK_END : SEEK_CUR);
  ssize_t done = fate == HALF ? half_write(fd, data, parts, offset)
                              : real_write(fd, data, parts, offset);
  if (done > 0) {
    append((struct record){.kind = WRITE, .flags = is_sync && !lies ? IS_SYNC : 0,
                           .inode = file->inode, .offset = (uint64_t)from,
                           .bytes = (uint64_t)done}, NULL, NULL, data, parts);
  }
  leave();
  meet_after(kinds, file->counts);
  return done;
}

static ssize_t write_one(int fd, const void *data, size_t bytes, off_t offset) {
  struct iovec part = {(void *)data, bytes};
  return write_parts(fd, &part, 1, offset);
}

EXPORT ssize_t write(int fd, const void *data, size_t bytes) {
  return write_one(fd, data, bytes, -1);
}
EXPORT ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) {
  return write_one(fd, data, bytes, offset);
}
EXPORT ssize_t pwrite64(int fd, const void *data, size_t bytes, off_t offset) {
  return write_one(fd, data, bytes, offset);
}
EXPORT ssize_t writev(int fd, const struct iovec *data, int parts) {
  return write_parts(fd, data, parts, -1);
}
EXPORT ssize_t pwritev64(int fd, const struct iovec *data, int parts, off_t offset) {
  return write_parts(fd, data, parts, offset);
}

EXPORT int ftruncate64(int fd, off_t length) {
  struct known *file = know(fd);
  if (!file) return (int)syscall(SYS_ftruncate, fd, length);
  if (meet(WRITES, file->counts) == FAIL) return -1;
  enter();
  int result = (int)syscall(SYS_ftruncate, fd, length);
  if (!result) {
    append((struct record){.kind = TRUNCATE, .inode = file->inode, .offset = (uint64_t)length},
           NULL, NULL, NULL, 0);
  }
  leave();
  meet_after(WRITES, file->counts);
  return result;
}
EXPORT int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

/* ---------------------------------------------------------------- syncs */

static int sync_file(int fd, long call) {
  static uint64_t syncs;
  struct known *file = know(fd);
  if (!file) return (int)syscall(call, fd);
  if (meet(SYNCS, file->counts) == FAIL) return -1;
  uint64_t number = __atomic_add_fetch(&syncs, 1, __ATOMIC_SEQ_CST);
  struct record record = {.inode = file->inode, .token = (uint64_t)getpid() << 32 | number,
                          .flags = file->flags & O_DIRECTORY ? IS_DIRECTORY : 0};
  if (!lies) {
    enter();
    record.kind = SYNC_BEGIN;
    append(record, NULL, NULL, NULL, 0);
    leave();
  }
  int result = (int)syscall(call, fd);
  if (sync_us) usleep((useconds_t)(rand() % sync_us));
  if (!lies && !result) {
    enter();
    record.kind = SYNC_END;
    append(record, NULL, NULL, NULL, 0);
    leave();
  }
  meet_after(SYNCS, file->counts);
  return result;
}

EXPORT int fsync(int fd) { return sync_file(fd, SYS_fsync); }
EXPORT int fdatasync(int fd) { return sync_file(fd, SYS_fdatasync); }

/* ---------------------------------------------------------------- names */

/* Makes a call on names, and its record if it succeeded. */
#define NAME_CALL(path, call, ...)                         \
  if (!is_watched(path)) return (int)(call);               \
  if (meet(NAMES, counts_path(path)) == FAIL) return -1;   \
  enter();                                                 \
  int result = (int)(call);                                \
  if (!result) append(__VA_ARGS__, NULL, 0);               \
  leave();                                                 \
  meet_after(NAMES, counts_path(path));                    \
  return result;

static uint64_t inode_of(const char *path) {
  struct stat stat;
  return lstat(path, &stat) ? 0 : stat.st_ino;
}

EXPORT int rename(const char *from, const char *to) {
  NAME_CALL(from, syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0),
            (struct record){.kind = RENAME}, from, to)
}

EXPORT int unlink(const char *path) {
  NAME_CALL(path, syscall(SYS_unlinkat, AT_FDCWD, path, 0),
            (struct record){.kind = UNLINK}, path, NULL)
}

EXPORT int mkdir(const char *path, mode_t mode) {
  NAME_CALL(path, syscall(SYS_mkdirat, AT_FDCWD, path, mode),
            ((struct record){.kind = MKDIR, .inode = inode_of(path)}), path, NULL)
}
