// Attaches bytes to copies of this very program and runs them: linked dynamically, statically or as a static PIE, it
// is the test case itself. `child PATTERN BYTES` is what a copy is asked. `strip` runs what takes 5 GiB of memory and disk instead.
#include <elf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attach.h"
#include "program/attachment.h"
#include "../check.h"

static char folder[] = "/tmp/lmmc-attach-XXXXXX";

static uint8_t pattern(uint64_t i) { return (uint8_t)(i * 131 + (i >> 8) * 7 + (i >> 32) * 13 + 1); }

// Where a sparse attachment holds data: its ends and both sides of 4 GiB.
static const uint64_t sparse_at[] = {0, 4095, UINT64_C(0xFFFFFFFF), UINT64_C(0x100000000), UINT64_C(0x13FFFFFFE)};
enum { SPARSE = sizeof sparse_at / sizeof *sparse_at };
enum { HUGE_FROM = 64 << 20 };  // attachments from here on start at a huge page, in memory as in the file
static const uint64_t SPARSE_BYTES = UINT64_C(0x13FFFFFFF);

static char bss[1 << 20];  // the segment before the attachment ends in memory that is not in the file

static int child(uint64_t wanted) {
  for (size_t i = 0; i < sizeof bss; i++)
    if (bss[i]) return fprintf(stderr, "bss is not zero\n"), 1;
  char *heap = malloc(1 << 16);  // the heap starts where the segments end
  if (!heap) return fprintf(stderr, "no heap\n"), 1;
  memset(heap, 1, 1 << 16);
  uint64_t bytes;
  const uint8_t *start = lmmc_attachment(&bytes);
  bool ok = bytes == wanted && (wanted == 0) == (start == NULL) && (uintptr_t)start % (bytes < HUGE_FROM ? 4096 : 2 << 20) == 0;
  if (!ok) fprintf(stderr, "%" PRIu64 " bytes at %p, wanted %" PRIu64 "\n", bytes, (const void *)start, wanted);
  if (ok && wanted == SPARSE_BYTES) {
    for (int i = 0; i < SPARSE; i++) ok &= start[sparse_at[i]] == pattern(sparse_at[i]);
    ok &= start[UINT64_C(0x100000000) + 12345] == 0;
  } else {
    for (uint64_t i = 0; ok && i < wanted; i++) ok = start[i] == pattern(i);
  }
  if (!ok) fprintf(stderr, "wrong bytes\n");
  free(heap);
  return !ok;
}

static const char *path(const char *name) {
  static char buffers[4][4096];
  static int next;
  char *buffer = buffers[next++ & 3];
  snprintf(buffer, sizeof buffers[0], "%s/%s", folder, name);
  return buffer;
}

// Runs a shell command; its exit status.
__attribute__((format(printf, 1, 2))) static int shell(const char *format, ...) {
  char command[8192];
  va_list args;
  va_start(args, format);
  vsnprintf(command, sizeof command, format, args);
  va_end(args);
  int status = system(command);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static int create(const char *name) { return open(path(name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0777); }

// A copy of `executable` with `bytes` attached.
static bool attach(const char *executable, const char *name, uint64_t bytes) {
  char error[LMMC_ATTACH_ERROR] = "";
  uint64_t offset = 0;
  int fd = create(name);
  lmmc_attach *a = lmmc_attach_begin(executable, fd, bytes, &offset, error);
  if (a) {
    if (bytes == SPARSE_BYTES) {
      for (int i = 0; i < SPARSE; i++) {
        uint8_t value = pattern(sparse_at[i]);
        if (pwrite(fd, &value, 1, (off_t)(offset + sparse_at[i])) != 1) perror("pwrite");
      }
    } else if (bytes > 0) {
      uint8_t *data = malloc(bytes);
      for (uint64_t i = 0; i < bytes; i++) data[i] = pattern(i);
      if (pwrite(fd, data, bytes, (off_t)offset) != (ssize_t)bytes) perror("pwrite");
      free(data);
    }
  }
  bool ok = a && lmmc_attach_finish(a, error);
  CHECK(ok, "%s", error);
  CHECK(offset % (bytes < HUGE_FROM ? 1 : 2 << 20) == 0, "%" PRIu64 " bytes at %" PRIu64 " of the file", bytes, offset);
  close(fd);
  return ok;
}

static void expect_running(const char *name, uint64_t bytes) {
  CHECK(shell("%s child %" PRIu64, path(name), bytes) == 0, "%s with %" PRIu64 " bytes", name, bytes);
}

// The message that begin gives for a file, "" when it succeeds.
static const char *message(const char *executable, uint64_t bytes) {
  static char error[LMMC_ATTACH_ERROR];
  error[0] = 0;
  uint64_t offset;
  int fd = create("refused");
  lmmc_attach *a = lmmc_attach_begin(executable, fd, bytes, &offset, error);
  if (a) lmmc_attach_abandon(a);
  close(fd);
  return error;
}

static void test_sizes(const char *self) {
  static const uint64_t sizes[] = {0, 1, 4095, 4096, 4097, (1 << 20) + 3, 1 << 24, HUGE_FROM - 1, HUGE_FROM};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    if (!attach(self, "copy", sizes[i])) continue;
    expect_running("copy", sizes[i]);
    // readelf complains on standard error, or by the word "Warning" on either.
    CHECK(shell("readelf -lSW %s 2>&1 | grep -i -E 'warning|error' 1>&2", path("copy")) != 0, "readelf, %" PRIu64, sizes[i]);
    CHECK(shell("readelf -SW %s | grep -q '\\.lmmc\\.weights .*PROGBITS .* A '", path("copy")) == (sizes[i] == 0),
          "section of %" PRIu64 " bytes", sizes[i]);
    CHECK(shell("strip -o %s %s 2>&1", path("stripped"), path("copy")) == 0, "strip, %" PRIu64, sizes[i]);
    expect_running("stripped", sizes[i]);
    CHECK(shell("strip --strip-unneeded %s && objcopy -S %s %s", path("copy"), path("copy"), path("again")) == 0, "objcopy");
    expect_running("again", sizes[i]);
    CHECK(shell("! command -v llvm-strip-14 >/dev/null || llvm-strip-14 %s", path("again")) == 0, "llvm-strip");
    expect_running("again", sizes[i]);
  }
}

// `stripped`: what binutils make of it too, which hold a whole section in memory.
static void test_sparse(const char *self, bool stripped) {
  if (!attach(self, "sparse", SPARSE_BYTES)) return;
  expect_running("sparse", SPARSE_BYTES);
  struct stat s;
  CHECK(stat(path("sparse"), &s) == 0 && s.st_size > (off_t)SPARSE_BYTES && s.st_blocks * 512 < 1 << 28, "sparse file");
  if (stripped) {
    CHECK(shell("readelf -lSW %s 2>&1 | grep -i -E 'warning|error' 1>&2", path("sparse")) != 0, "readelf past 4 GiB");
    CHECK(shell("strip %s", path("sparse")) == 0, "strip past 4 GiB");
    expect_running("sparse", SPARSE_BYTES);
    CHECK(shell("readelf -lSW %s 2>&1 | grep -i -E 'warning|error' 1>&2", path("sparse")) != 0, "readelf of what strip made");
  }
  unlink(path("sparse"));
}

static void test_refusals(const char *self) {
  CHECK(strstr(message("/", 1), "is not an ELF executable"), "%s", message("/", 1));
  CHECK(strstr(message("/nowhere", 1), "cannot open '/nowhere': No such file"), "%s", message("/nowhere", 1));
  CHECK(strstr(message("/bin/true", 1), "has no section '.lmmc.slot'"), "%s", message("/bin/true", 1));
  CHECK(strstr(message(self, UINT64_MAX), "does not fit"), "%s", message(self, UINT64_MAX));
  CHECK(strstr(message(self, UINT64_C(1) << 47), "does not fit"), "%s", message(self, UINT64_C(1) << 47));
  CHECK(message(self, UINT64_C(1) << 40)[0] == 0, "a terabyte: %s", message(self, UINT64_C(1) << 40));
  if (attach(self, "twice", 10)) CHECK(strstr(message(path("twice"), 1), "has an attachment already"), "twice");

  int fd = create("short");
  char error[LMMC_ATTACH_ERROR];
  uint64_t offset;
  lmmc_attach *a = lmmc_attach_begin(self, fd, 100, &offset, error);
  CHECK(a && ftruncate(fd, (off_t)offset + 99) == 0, "begin");
  CHECK(a && !lmmc_attach_finish(a, error) && strstr(error, "with the whole attachment"), "%s", error);
  char magic[SELFMAG] = "?";
  CHECK(pread(fd, magic, sizeof magic, 0) == SELFMAG && memcmp(magic, ELFMAG, SELFMAG) != 0,
        "an unfinished output must not be an executable");
  close(fd);

  fd = open("/dev/full", O_RDWR);
  a = lmmc_attach_begin(self, fd, 100, &offset, error);
  CHECK(!a && strstr(error, "No space left"), "%s", error);
  close(fd);
}

// Damaged headers end in a message or a success, never in a crash (the sanitizers look on).
static void test_damage(const char *self) {
  int fd = open(self, O_RDONLY);
  struct stat s;
  fstat(fd, &s);
  size_t size = (size_t)s.st_size;
  const uint8_t *original = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
  close(fd);
  Elf64_Ehdr h;
  memcpy(&h, original, sizeof h);
  fd = create("damaged");
  if (write(fd, original, size) != (ssize_t)size) perror("write");
  int refused = 0;
  uint64_t state = 1;
  static const uint8_t values[] = {0, 1, 0x7F, 0x80, 0xFF};
  for (int round = 0; round < 400; round++) {
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    uint64_t draw = state >> 20, at;
    switch (round % 3) {
      case 0: at = draw % sizeof h; break;
      case 1: at = h.e_phoff + draw % (h.e_phnum * sizeof(Elf64_Phdr)); break;
      default: at = h.e_shoff + draw % (h.e_shnum * sizeof(Elf64_Shdr)); break;
    }
    uint8_t value = values[state >> 40 & 3];
    if (pwrite(fd, &value, 1, (off_t)at) != 1) perror("pwrite");
    refused += message(path("damaged"), 5000)[0] != 0;
    if (pwrite(fd, original + at, 1, (off_t)at) != 1) perror("pwrite");
  }
  CHECK(refused > 60 && refused < 400, "%d of 400 refused", refused);
  CHECK(message(path("damaged"), 5000)[0] == 0, "restored file is accepted");
  for (size_t cut = 0; cut < size; cut = cut * 2 + 1) {
    if (ftruncate(fd, (off_t)cut) != 0) perror("ftruncate");
    CHECK(message(path("damaged"), 5000)[0] != 0, "cut at %zu", cut);
    if (ftruncate(fd, 0) != 0 || pwrite(fd, original, size, 0) != (ssize_t)size) perror("write");
  }
  close(fd);
  munmap((void *)original, size);
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "child") == 0) return child(strtoull(argv[2], NULL, 10));
  char self[4096];
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n <= 0 || !mkdtemp(folder)) return perror("set-up"), 1;
  self[n] = 0;
  if (argc == 2 && strcmp(argv[1], "strip") == 0) {
    test_sparse(self, true);
  } else {
    test_sizes(self);
    test_sparse(self, false);
    test_refusals(self);
    test_damage(self);
  }
  shell("rm -rf %s", folder);
  return check_report();
}
