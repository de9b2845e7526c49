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

// Both are congruent to the file's pages, so that a page that is already there can be mapped as it is.
enum { HUGE = 2 << 20 };

static uint64_t at_most(uint64_t a, uint64_t b) { return a < b ? a : b; }

// ---- how much

// Keys and values of so many positions in one slot.
static uint64_t exact_cache(const lmmc_model *m, uint64_t positions) { return m->cache_bytes / (uint64_t)m->context * positions; }

// The same where each cache comes into memory by whole huge pages.
static uint64_t huge_cache(const lmmc_model *m, uint64_t positions) {
  uint64_t sum = 0;
  for (int32_t i = 0; i < m->cache_count; i++) sum += (positions * m->caches[i].row_bytes + HUGE - 1) / HUGE * HUGE;
  return at_most(sum, m->slot_bytes);
}

int64_t lmmc_memory_huge_rows(const lmmc_model *m) {
  if (m->slot_bytes < HUGE) return INT64_MAX;
  int64_t few = 0, enough = (int64_t)m->context + 1;
  while (enough - few > 1) {
    const int64_t middle = few + (enough - few) / 2;
    *(4 * exact_cache(m, (uint64_t)middle) < huge_cache(m, (uint64_t)middle) ? &few : &enough) = middle;
  }
  return enough;
}

static uint64_t cache_need(const lmmc_model *m, uint64_t positions) {
  return (int64_t)positions < lmmc_memory_huge_rows(m) ? exact_cache(m, positions) : huge_cache(m, positions);
}

// The bytes of all slots, in a program whose context is `context`.
static uint64_t caches_need(const lmmc_model *m, lmmc_memory_use use, uint64_t context) {
  const uint64_t positions = at_most((uint64_t)use.positions, context), longest = (uint64_t)use.longest;
  return (uint64_t)(use.sequences - 1) * cache_need(m, positions) +
         cache_need(m, longest > positions && longest <= context ? longest : positions);
}

lmmc_memory_needs lmmc_memory_need(const lmmc_model *m, lmmc_memory_use use) {
  const uint64_t positions = at_most((uint64_t)use.positions, (uint64_t)m->context), sequences = (uint64_t)use.sequences;
  // Activations grow with the rows in use, and lie where an image's were: together they take no more than the larger whole.
  const uint64_t rows = at_most(positions * sequences, (uint64_t)m->chunk), images = (uint64_t)use.images;
  const uint64_t image = images > 0 ? m->image_bytes : 0, text = m->chunk_bytes / (uint64_t)m->chunk * rows;
  const uint64_t most = m->image_bytes > m->chunk_bytes ? m->image_bytes : m->chunk_bytes;
  const uint64_t values = images * (uint64_t)m->vision_tokens * (uint64_t)m->hidden + (sequences - 1) * (uint64_t)m->vocabulary;
  return (lmmc_memory_needs){
      .cache = caches_need(m, use, (uint64_t)m->context),
      .working = at_most(image + text, most) + sizeof(float) * values,
      .weights = m->attachment_bytes,
  };
}

void lmmc_memory_shorten(lmmc_model *m, int32_t context) {
  const int32_t rows = context > m->sequences ? context : m->sequences, chunk = rows < m->chunk ? rows : m->chunk;
  m->cache_bytes = m->cache_bytes / (uint64_t)m->context * (uint64_t)context;
  m->chunk_bytes = m->chunk_bytes / (uint64_t)m->chunk * (uint64_t)chunk;
  m->context = context, m->chunk = chunk;
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

// The longest context whose caches fit with what else `need` has; 0 where none does.
static int64_t positions_that_fit(const lmmc_model *m, lmmc_memory_use use, lmmc_memory_needs need, double available) {
  int64_t fits = 0, over = use.longest > use.positions ? use.longest : use.positions;
  while (over - fits > 1) {
    const int64_t middle = fits + (over - fits) / 2;
    *((double)(caches_need(m, use, (uint64_t)middle) + need.working) <= available ? &fits : &over) = middle;
  }
  return fits;
}

bool lmmc_memory_check(const lmmc_model *m, lmmc_memory_use use, double available, const char *limit, char *warning, size_t size,
                       lmmc_error *e) {
  const lmmc_memory_needs need = lmmc_memory_need(m, use);
  const double own = (double)need.cache + (double)need.working;
  warning[0] = 0;
  if (available < 0 || own + (double)need.weights <= available) return true;
  if (own > available) {
    // What fits when only the cache shrinks.
    const int64_t fits = positions_that_fit(m, use, need, available);
    char other[64] = "a smaller '--context'", sequences[48] = "", longest[48] = "";
    const char *fewer = use.sequences > 1 ? "fewer sequences, " : "";
    if (fits > 0) snprintf(other, sizeof other, "'--context %" PRId64 "'", fits);
    if (use.sequences > 1) snprintf(sequences, sizeof sequences, "%" PRId64 " sequences of ", use.sequences);
    if (use.longest > use.positions) snprintf(longest, sizeof longest, ", in one of them %" PRId64 ",", use.longest);
    return lmmc_fail(e, 1,
                     "out of memory, %s%" PRId64
                     " positions%s take %s of cache and %s of working memory, and %s are free %s; "
                     "%s%s here or%s when compiling would help",
                     sequences, use.positions, longest, size_text((double)need.cache).bytes, size_text((double)need.working).bytes,
                     size_text(available).bytes, limit, fewer, other,
                     m->cache_type == LMMC_KV_I8 ? " a smaller '--context'" : " '--kv int8'");
  }
  snprintf(warning, size,
           "warning: %s of weights do not fit beside %s of cache and working memory, %s are free %s: parts will be read "
           "from the file again and again; '--context' here or a lower '--precision' when compiling would help\n",
           size_text((double)need.weights).bytes, size_text(own).bytes, size_text(available).bytes, limit);
  return true;
}

int64_t lmmc_memory_sequences(const lmmc_model *m, lmmc_memory_use use, double available) {
  for (; available >= 0 && use.sequences > 1; use.sequences--) {
    const lmmc_memory_needs need = lmmc_memory_need(m, use);
    if ((double)need.cache + (double)need.working + (double)need.weights <= available) break;
  }
  return use.sequences;
}

// ---- the mappings

static uintptr_t page_bytes(void) { return (uintptr_t)sysconf(_SC_PAGESIZE); }

static uintptr_t down(uintptr_t address, uintptr_t unit) { return address / unit * unit; }
static uintptr_t up(uintptr_t address, uintptr_t unit) { return down(address + unit - 1, unit); }

static bool advise(const uint8_t *bytes, uint64_t count, bool locks, lmmc_error *e) {
  const uintptr_t start = down((uintptr_t)bytes, page_bytes());
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

// A huge page never lies in two slots, so that what one gives back is not held by the next. The mapping is made longer by what that may
// need, and the rest goes again. Where the kernel gives everybody huge pages, the first row of a slot would take one for each cache.
static bool map_arena(lmmc_memory *memory, const lmmc_model *m) {
  const uintptr_t page = page_bytes(), unit = m->slot_bytes >= HUGE ? HUGE : page;
  const size_t length = up(m->arena_bytes + unit, page);
  // Not reserved: a context that is never filled costs nothing.
  uint8_t *first = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (first == MAP_FAILED) return false;
  const uintptr_t slots = (uintptr_t)first + m->slots_offset;
  memory->arena = first + (up(slots, unit) - slots);
  const uintptr_t begin = down((uintptr_t)memory->arena, page), end = up((uintptr_t)memory->arena + m->arena_bytes, page);
  if (begin > (uintptr_t)first) munmap(first, begin - (uintptr_t)first);
  if (end < (uintptr_t)first + length) munmap((void *)end, (uintptr_t)first + length - end);
  if (unit == HUGE) madvise(memory->arena + m->slots_offset, (uint64_t)m->sequences * m->slot_bytes, MADV_NOHUGEPAGE);
  return true;
}

bool lmmc_memory_open(lmmc_memory *memory, const lmmc_model *m, bool locks, lmmc_memory_use use, lmmc_error *e) {
  const char *limit;
  char warning[512];
  double available = lmmc_memory_available("", &limit);
  if (!lmmc_memory_check(m, use, available, limit, warning, sizeof warning, e)) return false;
  fputs(warning, stderr);
  if (!map_arena(memory, m)) {
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

void lmmc_memory_close(lmmc_memory *memory, const lmmc_model *m) {
  const uintptr_t begin = down((uintptr_t)memory->arena, page_bytes());
  munmap((void *)begin, (uintptr_t)memory->arena + m->arena_bytes - begin);
}

// ---- slots

// The whole pages within a slot; none where it is shorter.
static size_t pages_of(const lmmc_memory *memory, const lmmc_model *m, int32_t slot, void **begin) {
  const uintptr_t page = page_bytes(), first = (uintptr_t)memory->arena + m->slots_offset + (uint64_t)slot * m->slot_bytes;
  *begin = (void *)up(first, page);
  const uintptr_t end = down(first + m->slot_bytes, page);
  return end > (uintptr_t)*begin ? end - (uintptr_t)*begin : 0;
}

void lmmc_memory_ask_huge(const lmmc_memory *memory, const lmmc_model *m, int32_t slot) {
  void *begin;
  const size_t length = pages_of(memory, m, slot, &begin);
  if (length >= HUGE) madvise(begin, length, MADV_HUGEPAGE);
}

void lmmc_memory_drop_slot(const lmmc_memory *memory, const lmmc_model *m, int32_t slot) {
  void *begin;
  const size_t length = pages_of(memory, m, slot, &begin);
  if (length > 0) madvise(begin, length, MADV_DONTNEED);
  if (length >= HUGE) madvise(begin, length, MADV_NOHUGEPAGE);
}
