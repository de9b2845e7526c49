#define _GNU_SOURCE  // MAP_NORESERVE
#include "memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cgroup.h"

typedef struct {
  char bytes[16];
} text;

static text size_text(double bytes) {
  static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
  int unit = 0;
  for (bytes /= 1024; bytes >= 1000 && unit < 3; unit++) bytes /= 1024;
  text t;
  snprintf(t.bytes, sizeof t.bytes, "%.3g %s", bytes, units[unit]);
  return t;
}

// ---- how much

lmmc_memory_needs lmmc_memory_need(const lmmc_model *m, int64_t positions, int images) {
  if (positions > m->context) positions = m->context;
  // Activations grow with the rows in use, and lie where an image's were: together they take no more than the larger whole.
  const uint64_t rows = (uint64_t)(positions < m->chunk ? positions : m->chunk);
  const uint64_t image = images > 0 ? m->image_bytes : 0, text = m->chunk_bytes / (uint64_t)m->chunk * rows;
  const uint64_t most = m->image_bytes > m->chunk_bytes ? m->image_bytes : m->chunk_bytes;
  return (lmmc_memory_needs){
      .cache = m->cache_bytes / (uint64_t)m->context * (uint64_t)positions,
      .working =
          (image + text < most ? image + text : most) + sizeof(float) * (uint64_t)images * (uint64_t)m->vision_tokens * (uint64_t)m->hidden,
      .weights = m->attachment_bytes,
  };
}

double lmmc_memory_available(const char *root, const char **limit) {
  char text[4096];
  double least = -1;
  *limit = "of memory";
  if (lmmc_read_small(root, "/proc/meminfo", text, sizeof text)) {
    const char *line = strstr(text, "MemAvailable:");
    if (line) least = strtod(line + strlen("MemAvailable:"), NULL) * 1024;
  }
  double group = lmmc_cgroup_memory(root);
  if (group >= 0 && (least < 0 || group < least)) least = group, *limit = "by the limit of the control group";
  return least;
}

int64_t lmmc_memory_peak(void) {
  char status[4096];
  const char *line = lmmc_read_small("", "/proc/self/status", status, sizeof status) ? strstr(status, "VmHWM:") : NULL;
  if (line) return strtoll(line + strlen("VmHWM:"), NULL, 10) * 1024;
  struct rusage usage = {0};
  getrusage(RUSAGE_SELF, &usage);
  return (int64_t)usage.ru_maxrss * 1024;
}

bool lmmc_memory_check(const lmmc_model *m, int64_t positions, int images, double available, const char *limit, char *warning, size_t size,
                       lmmc_error *e) {
  const lmmc_memory_needs need = lmmc_memory_need(m, positions, images);
  const double own = (double)need.cache + (double)need.working;
  warning[0] = 0;
  if (available < 0 || own + (double)need.weights <= available) return true;
  if (own > available) {
    // What fits when only the cache shrinks.
    double per = (double)m->cache_bytes / m->context, fits = per > 0 ? (available - (double)need.working) / per : 0;
    char other[64] = "a smaller '--context'";
    if (fits >= 1) snprintf(other, sizeof other, "'--context %" PRId64 "'", (int64_t)fits);
    return lmmc_fail(e, 1,
                     "out of memory, %" PRId64
                     " positions take %s of cache and %s of working memory, and %s are free %s; "
                     "%s here or%s when compiling would help",
                     positions, size_text((double)need.cache).bytes, size_text((double)need.working).bytes, size_text(available).bytes,
                     limit, other, m->cache_type == LMMC_KV_I8 ? " a smaller '--context'" : " '--kv int8'");
  }
  snprintf(warning, size,
           "warning: %s of weights do not fit beside %s of cache and working memory, %s are free %s: parts will be read "
           "from the file again and again; '--context' here or a lower '--precision' when compiling would help\n",
           size_text((double)need.weights).bytes, size_text(own).bytes, size_text(available).bytes, limit);
  return true;
}

// ---- the mappings

// Both are congruent to the file's pages, so that a page that is already there can be mapped as it is.
enum { HUGE = 2 << 20 };

static bool advise(const uint8_t *bytes, uint64_t count, bool locks, lmmc_error *e) {
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)bytes & ~(page - 1);
  const size_t length = (uintptr_t)bytes + count - start;
  // The kernel then reads and maps 2 MiB at a time. Where it cannot, nothing is lost.
  if (length >= HUGE) madvise((void *)start, length, MADV_HUGEPAGE);
  if (!locks || mlock((void *)start, length) == 0) return true;
  const int number = errno;
  struct rlimit most = {0};
  getrlimit(RLIMIT_MEMLOCK, &most);
  if ((number == ENOMEM || number == EPERM || number == EAGAIN) && most.rlim_cur < length)
    return lmmc_fail(e, 1,
                     "option '--mlock': this process may lock %s and the weights take %s, 'ulimit -l %zu' (RLIMIT_MEMLOCK) would allow it",
                     size_text((double)most.rlim_cur).bytes, size_text((double)length).bytes, (length + 1023) / 1024);
  return lmmc_fail(e, 1, "option '--mlock': the weights cannot be locked: %s", lmmc_reason(number).text);
}

bool lmmc_memory_open(lmmc_memory *memory, const lmmc_model *m, bool locks, int64_t positions, int images, lmmc_error *e) {
  const char *limit;
  char warning[512];
  double available = lmmc_memory_available("", &limit);
  if (!lmmc_memory_check(m, positions, images, available, limit, warning, sizeof warning, e)) return false;
  fputs(warning, stderr);
  // Not reserved: a context that is never filled costs nothing.
  memory->arena = mmap(NULL, m->arena_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory->arena == MAP_FAILED) {
    struct rlimit most = {RLIM_INFINITY, RLIM_INFINITY};
    getrlimit(RLIMIT_AS, &most);
    char why[80] = "";
    if (most.rlim_cur != RLIM_INFINITY) snprintf(why, sizeof why, " within the %s of 'ulimit -v'", size_text((double)most.rlim_cur).bytes);
    return lmmc_fail(
        e, 1, "out of memory, %s of addresses are needed for the arena%s; a smaller '--context' or '--kv int8' when compiling would help",
        size_text((double)m->arena_bytes).bytes, why);
  }
  if (advise(memory->weights, m->attachment_bytes, locks, e)) return true;
  lmmc_memory_close(memory, m);
  return false;
}

void lmmc_memory_close(lmmc_memory *memory, const lmmc_model *m) { munmap(memory->arena, m->arena_bytes); }
