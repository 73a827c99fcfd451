/*
 * A disk that fails, for a process that preloads this: the file named by $FAILING_DISK says which
 * calls on data.mdb fail, and how: "write 5", "sync 5" or "meta 28" (a number of errno.h). Without
 * the file none does. Each call is logged, by its name, to $FAILING_DISK.log once the log exists.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_data_file(int fd) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path);
  return length > 9 && memcmp(path + length - 9, "/data.mdb", 9) == 0;
}

/* The error that this call has to meet, or 0. */
static int fault(int fd, const char *call) {
  const char *control = getenv("FAILING_DISK");
  if (control == NULL || !is_data_file(fd)) return 0;
  /* LMDB writes its meta pages, and nothing else, through a descriptor of their own. */
  if (fcntl(fd, F_GETFL) & O_DSYNC) call = "meta";
  char path[PATH_MAX], text[64] = "", name[16] = "";
  snprintf(path, sizeof path, "%s.log", control);
  int log = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
  if (log >= 0) {
    snprintf(text, sizeof text, "%s\n", call);
    syscall(SYS_write, log, text, strlen(text));
    close(log);
  }
  int error = 0, file = open(control, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  text[length < 0 ? 0 : length] = 0;
  return sscanf(text, "%15s %d", name, &error) == 2 && strcmp(name, call) == 0 ? error : 0;
}

#define MEET(call)                   \
  int error = fault(fd, call);       \
  if (error != 0) {                  \
    errno = error;                   \
    return -1;                       \
  }

int fdatasync(int fd) {
  MEET("sync")
  return syscall(SYS_fdatasync, fd);
}

int fsync(int fd) {
  MEET("sync")
  return syscall(SYS_fsync, fd);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
  MEET("write")
  return syscall(SYS_pwrite64, fd, bytes, length, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
  return pwrite64(fd, bytes, length, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  MEET("write")
  return syscall(SYS_writev, fd, parts, count);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
  MEET("write")
  return syscall(SYS_pwritev, fd, parts, count, (long)at, 0L);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
  return pwritev64(fd, parts, count, at);
}
