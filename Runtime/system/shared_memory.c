// LLVM's OpenMP, which clang links, writes down in shared memory that it is loaded, and before its version 16 ends the program in words of
// its own where /dev/shm cannot be used (a container without it, or one that is full or read-only). Nobody else reads what it writes, so
// memory of this process will do. The dynamic linker takes this function for the C library's.
#define _GNU_SOURCE  // memfd_create

#ifdef __clang__
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/types.h>

int shm_open(const char *name, int flags, mode_t mode) {
  char path[NAME_MAX + 16];
  while (*name == '/') name++;
  if (snprintf(path, sizeof path, "/dev/shm/%s", name) >= (int)sizeof path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  int fd = open(path, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, mode);
  // Only the one that creates it gets this memory: one that opens another's must see that there is none.
  return fd < 0 && errno != EEXIST && (flags & O_CREAT) ? memfd_create(name, MFD_CLOEXEC) : fd;
}
#else
typedef int lmmc_shared_memory_is_for_clang;
#endif
