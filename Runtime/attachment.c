#define _GNU_SOURCE  // MADV_HUGEPAGE
#include "attachment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

// Volatile: the packager changes these fields after the compiler has seen them.
static const volatile struct lmmc_attachment_slot slot __attribute__((used, section(".lmmc.slot"), aligned(16))) = {
    "lmmc attachment", 0, 0};

enum { ALIGNMENT = 64 };  // what the kernels need of the first byte; a packager gives a whole page

const uint8_t *lmmc_attachment(uint64_t *bytes) {
  int64_t displacement = slot.displacement;
  *bytes = displacement ? slot.bytes : 0;
  return displacement ? (const uint8_t *)((uintptr_t)&slot + (uintptr_t)displacement) : NULL;
}

static const uint8_t *map_file(const char *path, uint64_t *bytes, lmmc_error *e) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat s;
  if (fd < 0 || fstat(fd, &s) != 0) {
    lmmc_fail(e, 1, "weights '%s' cannot be opened: %s", path, lmmc_reason(errno));
    if (fd >= 0) close(fd);
    return NULL;
  }
  void *map = MAP_FAILED;
  if (!S_ISREG(s.st_mode) || s.st_size <= 0)
    lmmc_fail(e, 1, "weights '%s' must be a file that is not empty", path);
  else if ((map = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
    lmmc_fail(e, 1, "weights '%s' cannot be mapped: %s", path, lmmc_reason(errno));
  close(fd);
  *bytes = (uint64_t)s.st_size;
  return map == MAP_FAILED ? NULL : map;
}

// Weights are read from end to end for every token: pages of 2 MiB in the page cache, which the kernel makes as it reads the file and maps
// whole, spare most of the misses in the address translation. A kernel or a file system without them refuses, and nothing is lost.
static void advise_huge_pages(const uint8_t *start, uint64_t bytes) {
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = (uintptr_t)start & ~(page - 1);
  (void)madvise((void *)first, (uintptr_t)start + bytes - first, MADV_HUGEPAGE);
}

const uint8_t *lmmc_attachment_open(uint64_t expected, lmmc_error *e) {
  uint64_t bytes;
  const uint8_t *start = lmmc_attachment(&bytes);
  const char *path = start ? NULL : getenv("LMMC_WEIGHTS");
  if (path && *path) {
    start = map_file(path, &bytes, e);
    if (!start) return NULL;
  } else if (!start) {
    lmmc_fail(e, 1, "this program has no weights attached");
    return NULL;
  }
  if (bytes != expected) {
    lmmc_fail(e, 1, "%s%s%s hold %" PRIu64 " bytes, and this program was compiled for %" PRIu64,
              path ? "weights '" : "the attached weights", path ? path : "", path ? "'" : "", bytes, expected);
    return NULL;
  }
  if ((uintptr_t)start % ALIGNMENT) {
    lmmc_fail(e, 1, "the attached weights stand at address 0x%" PRIxPTR ", which is not a multiple of %d",
              (uintptr_t)start, ALIGNMENT);
    return NULL;
  }
  advise_huge_pages(start, bytes);
  return start;
}
