#include "profile.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "kernels/profile.h"

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

void lmmc_profile_start(void) { is_on = true; }

double lmmc_profile_clock(void) {
  if (!is_on) return 0;
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
    if (rows[i].stage) rows[kept++] = rows[i];
    else fresh[count++] = rows[i];
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

static void print_line(FILE *to, const char *name, int64_t calls, double seconds, double all, double flops, double bytes,
                       const char *variant) {
  fprintf(to, "  %-44s %7lld %10.2f %6.1f %%", name, (long long)calls, seconds * 1e3, all > 0 ? 100 * seconds / all : 0);
  if (flops > 0 && seconds > 0) fprintf(to, " %10.1f %9.1f  %s", flops / seconds * 1e-9, bytes / seconds * 1e-9, variant);
  fputc('\n', to);
}

void lmmc_profile_print(FILE *to) {
  fprintf(to, "%-46s %7s %10s %8s %10s %9s  %s\n", "operation", "calls", "ms", "share", "GFLOP/s", "GB/s", "kernel");
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
      print_line(to, name, r->calls, r->seconds, stages[s].seconds, r->flops, r->bytes, r->key.variant);
      known += r->seconds;
    }
    print_line(to, "the rest: norms, gates, rotary, quantising", stages[s].calls, stages[s].seconds - known, stages[s].seconds, 0, 0, "");
  }
}
