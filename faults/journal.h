/*
 * The journal of interpose.c: one file, to which all processes of a test append under one lock.
 * support/journal.js reads it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* One record; path, second path and data follow. */
struct record {
  uint32_t magic, pid, kind, flags;
  uint64_t time_ns, inode, offset, bytes, token;
  uint32_t path_bytes, second_bytes;
};
enum { WRITE = 1, TRUNCATE, SYNC_BEGIN, SYNC_END, CREATE, MKDIR, RENAME, UNLINK };
enum { IS_SYNC = 1, IS_DIRECTORY = 2 };

/* Descriptors of the file, if there is a journal, and of another opening of it, to lock. */
static int journal = -1, journal_lock = -1;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void enter(void) {
  if (journal < 0) return;
  pthread_mutex_lock(&mutex);
  while (flock(journal_lock, LOCK_EX) < 0 && errno == EINTR) {}
}

static void leave(void) {
  if (journal < 0) return;
  int saved = errno;
  flock(journal_lock, LOCK_UN);
  pthread_mutex_unlock(&mutex);
  errno = saved;
}

static void append(struct record record, const char *path, const char *second,
                   const struct iovec *data, int parts) {
  if (journal < 0) return;
  int saved = errno;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  record.magic = 0x4c4e524a;
  record.pid = (uint32_t)getpid();
  record.time_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
  record.path_bytes = path ? (uint32_t)strlen(path) : 0;
  record.second_bytes = second ? (uint32_t)strlen(second) : 0;
  struct iovec head[3] = {{&record, sizeof record}, {(void *)path, record.path_bytes},
                          {(void *)second, record.second_bytes}};
  ssize_t done = syscall(SYS_writev, journal, head, 3L);
  uint64_t left = record.kind == WRITE ? record.bytes : 0;
  for (int part = 0; part < parts && left > 0 && done > 0; part++) {
    size_t bytes = data[part].iov_len < left ? data[part].iov_len : left;
    done = bytes ? syscall(SYS_write, journal, data[part].iov_base, bytes) : 1;
    left -= bytes;
  }
  if (done <= 0) {
    fprintf(stderr, "interpose: the journal cannot be written\n");
    _exit(99);
  }
  errno = saved;
}
