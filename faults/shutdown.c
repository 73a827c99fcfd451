/*
 * Shuts a filesystem down as a sick disk does (the ioctl GOINGDOWN of XFS, which ext4 shares): from
 * now on every call fails with EIO, and what was not synced is lost.
 *
 *   shutdown MOUNT_POINT 1|2     1: its own journal is written first; 2: it is not
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#define GOINGDOWN _IOR('X', 125, uint32_t)

int main(int count, char **arguments) {
  if (count != 3) return 2;
  uint32_t how = (uint32_t)atoi(arguments[2]);
  int fd = open(arguments[1], O_RDONLY);
  if (fd < 0 || ioctl(fd, GOINGDOWN, &how) < 0) {
    perror(arguments[1]);
    return 1;
  }
  return 0;
}
