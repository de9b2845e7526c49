#include "attachment.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "contract/attachment_slot.h"

// Volatile: the packager changes these fields after the compiler has seen them.
static const volatile struct lmmc_attachment_slot slot
    __attribute__((used, section(LMMC_SLOT_SECTION), aligned(16))) = {LMMC_SLOT_MAGIC, 0, 0};

enum { ALIGNMENT = 64 };  // what the kernels need of the first byte; a packager gives a whole page

const uint8_t *lmmc_attachment(uint64_t *bytes) {
  int64_t displacement = slot.displacement;
  *bytes = displacement ? slot.bytes : 0;
  return displacement ? (const uint8_t *)((uintptr_t)&slot + (uintptr_t)displacement) : NULL;
}

// From byte `offset` on.
static const uint8_t *map_file(const char *path, uint64_t offset, uint64_t *bytes, lmmc_error *e) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat s;
  if (fd < 0 || fstat(fd, &s) != 0) {
    lmmc_fail(e, 1, "weights '%s' cannot be opened: %s", path, lmmc_reason(errno).text);
    if (fd >= 0) close(fd);
    return NULL;
  }
  void *map = MAP_FAILED;
  if (!S_ISREG(s.st_mode) || s.st_size <= 0 || (uint64_t)s.st_size <= offset)
    lmmc_fail(e, 1, "weights '%s' must be a file that is not empty", path);
  else if ((map = mmap(NULL, (size_t)s.st_size - offset, PROT_READ, MAP_PRIVATE, fd, (off_t)offset)) == MAP_FAILED)
    lmmc_fail(e, 1, "weights '%s' cannot be mapped: %s", path, lmmc_reason(errno).text);
  close(fd);
  *bytes = (uint64_t)s.st_size - offset;
  return map == MAP_FAILED ? NULL : map;
}

// The executable's own header, which its first segment begins with. As bytes: the program headers stand behind it.
extern const unsigned char __ehdr_start[] __attribute__((visibility("hidden"), weak));

static struct {
  const uint8_t *start;
  uint64_t bytes, offset;
} opened;

// Where the segment at `start` stands in the executable.
static uint64_t segment_offset(const uint8_t *start) {
  const Elf64_Ehdr *header = (const Elf64_Ehdr *)__ehdr_start;
  if (!header) return 0;
  const Elf64_Phdr *segments = (const Elf64_Phdr *)((const char *)header + header->e_phoff);
  for (int i = 0; i < header->e_phnum; i++)
    // The header's own segment, at offset 0, says how far addresses are from those in the file.
    for (int j = 0; segments[i].p_type == PT_LOAD && segments[i].p_offset == 0 && j < header->e_phnum; j++)
      if (segments[j].p_type == PT_LOAD && segments[j].p_vaddr - segments[i].p_vaddr == (uintptr_t)start - (uintptr_t)header)
        return segments[j].p_offset;
  return 0;
}

uint64_t lmmc_attachment_place(const void *address) {
  const uint64_t distance = (uint64_t)((uintptr_t)address - (uintptr_t)opened.start);
  return opened.start && distance < opened.bytes ? opened.offset + distance : UINT64_MAX;
}

const uint8_t *lmmc_attachment_open(uint64_t expected, lmmc_error *e) {
  uint64_t bytes;
  const uint8_t *start = lmmc_attachment(&bytes);
  const char *path = start ? NULL : getenv("LMMC_WEIGHTS"), *text = path ? getenv("LMMC_WEIGHTS_OFFSET") : NULL;
  const uint64_t offset = text ? strtoull(text, NULL, 10) : 0;
  if (path && *path) {
    start = map_file(path, offset, &bytes, e);
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
    lmmc_fail(e, 1, "the attached weights stand at address 0x%" PRIxPTR ", which is not a multiple of %d", (uintptr_t)start, ALIGNMENT);
    return NULL;
  }
  opened.start = start, opened.bytes = bytes, opened.offset = path ? offset : segment_offset(start);
  return start;
}
