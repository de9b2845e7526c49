#include "profile.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "ceiling.h"
#include "kernels/common/measure.h"

enum { MAX_ROWS = 256, MAX_STAGES = 4 };

typedef struct {
  lmmc_profile_key key;
  const char *stage;  // NULL: of the one that runs
  int64_t calls;
  double seconds, flops, bytes;
} row;

static row rows[MAX_ROWS];
static int row_count;
static struct {
  const char *name;
  double seconds;
  int64_t calls;
} stages[MAX_STAGES];
static int stage_count;
static bool is_on;
static lmmc_profile_observer *observer;

void lmmc_profile_start(void) { is_on = true; }

void lmmc_profile_observe(lmmc_profile_observer *given) { observer = given; }

double lmmc_profile_clock(void) {
  if (!is_on && !observer) return 0;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static bool same(const lmmc_profile_key *a, const lmmc_profile_key *b) {
  return a->rows == b->rows && a->columns == b->columns && a->depth == b->depth && strcmp(a->operation, b->operation) == 0 &&
         strcmp(a->variant, b->variant) == 0;
}

// The row of a stage, or a new one; NULL when there is no room, and then the time shows as the stage's rest.
static row *find(const char *stage, const lmmc_profile_key *key) {
  for (int i = 0; i < row_count; i++)
    if (rows[i].stage == stage && same(&rows[i].key, key)) return &rows[i];
  if (row_count == MAX_ROWS) return NULL;
  rows[row_count] = (row){.key = *key, .stage = stage};
  return &rows[row_count++];
}

void lmmc_profile_add(double begin, lmmc_profile_key key, double flops, double bytes) {
  const double seconds = lmmc_profile_clock() - begin;
  if (observer) observer(key.out, key.rows, key.width, key.stride);
  if (!is_on) return;
  row *r = find(NULL, &key);
  if (!r) return;
  r->calls++;
  r->seconds += seconds;
  r->flops += flops;
  r->bytes += bytes;
}

void lmmc_profile_stage(const char *stage, double seconds) {
  if (!is_on) return;
  int s = 0;
  while (s < stage_count && strcmp(stages[s].name, stage) != 0) s++;
  if (s == MAX_STAGES) return;
  if (s == stage_count) stages[stage_count++].name = stage;
  stages[s].seconds += seconds;
  stages[s].calls++;
  // What the stage did goes to its rows of earlier calls.
  int kept = 0;
  row fresh[MAX_ROWS];
  int count = 0;
  for (int i = 0; i < row_count; i++) {
    if (rows[i].stage)
      rows[kept++] = rows[i];
    else
      fresh[count++] = rows[i];
  }
  row_count = kept;
  for (int i = 0; i < count; i++) {
    row *r = find(stages[s].name, &fresh[i].key);
    if (!r) continue;
    r->calls += fresh[i].calls;
    r->seconds += fresh[i].seconds;
    r->flops += fresh[i].flops;
    r->bytes += fresh[i].bytes;
  }
}

// The least time in which the work of a row could be done; 0 where there is no ceiling.
static double least_seconds(const row *r, double read) {
  const double arithmetic = lmmc_ceiling_arithmetic(r->key.operation, r->key.variant);
  if (arithmetic == 0 || read == 0) return 0;
  return r->flops / arithmetic > r->bytes / read ? r->flops / arithmetic : r->bytes / read;
}

static void print_line(FILE *to, const char *name, int64_t calls, double seconds, double all) {
  fprintf(to, "  %-44s %7lld %10.2f %6.1f %%", name, (long long)calls, seconds * 1e3, all > 0 ? 100 * seconds / all : 0);
}

static void print_ceilings(FILE *to, double read) {
  fprintf(to, "ceilings, measured now: memory read %.1f GB/s", read * 1e-9);
  for (int i = 0; i < row_count; i++) {
    bool is_new = true;
    for (int j = 0; j < i; j++)
      if (strcmp(rows[j].key.operation, rows[i].key.operation) == 0 && strcmp(rows[j].key.variant, rows[i].key.variant) == 0)
        is_new = false;
    const double rate = is_new ? lmmc_ceiling_arithmetic(rows[i].key.operation, rows[i].key.variant) : 0;
    if (rate > 0) fprintf(to, "; %s by %s %.0f G/s", rows[i].key.operation, rows[i].key.variant, rate * 1e-9);
  }
  fputc('\n', to);
}

void lmmc_profile_print(FILE *to, const uint8_t *weights, uint64_t count) {
  enum { MOST = 512 << 20 };
  const double read = lmmc_ceiling_read(weights, count < MOST ? count : MOST);
  fprintf(to, "%-46s %7s %10s %8s %10s %10s %9s %10s  %s\n", "operation", "calls", "ms", "share", "MB", "GFLOP/s", "GB/s", "of ceiling",
          "kernel");
  for (int s = 0; s < stage_count; s++) {
    fprintf(to, "%s: %.2f ms\n", stages[s].name, stages[s].seconds * 1e3);
    double known = 0;
    bool printed[MAX_ROWS] = {0};
    for (;;) {
      int most = -1;
      for (int i = 0; i < row_count; i++)
        if (!printed[i] && rows[i].stage == stages[s].name && (most < 0 || rows[i].seconds > rows[most].seconds)) most = i;
      if (most < 0) break;
      printed[most] = true;
      const row *r = &rows[most];
      char name[96];
      if (r->key.columns)
        snprintf(name, sizeof name, "%s %lld x %lld x %lld", r->key.operation, (long long)r->key.rows, (long long)r->key.columns,
                 (long long)r->key.depth);
      else
        snprintf(name, sizeof name, "%s, %lld queries", r->key.operation, (long long)r->key.rows);
      print_line(to, name, r->calls, r->seconds, stages[s].seconds);
      const double least = least_seconds(r, read), per = r->seconds > 0 ? 1e-9 / r->seconds : 0;
      fprintf(to, " %10.1f %10.1f %9.1f ", r->bytes * 1e-6, r->flops * per, r->bytes * per);
      if (least > 0 && r->seconds > 0)
        fprintf(to, "%8.0f %%", 100 * least / r->seconds);
      else
        fprintf(to, "%10s", "-");
      fprintf(to, "  %s\n", r->key.variant);
      known += r->seconds;
    }
    print_line(to, "the rest: norms, gates, rotary, quantising", stages[s].calls, stages[s].seconds - known, stages[s].seconds);
    fputc('\n', to);
  }
  print_ceilings(to, read);
}
