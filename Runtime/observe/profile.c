#include "profile.h"

#include <stdbool.h>
#include <string.h>

#include "ceiling.h"

typedef lmmc_profile_row row;

static bool same(const lmmc_profile_key *a, const lmmc_profile_key *b) {
  return a->rows == b->rows && a->columns == b->columns && a->depth == b->depth && strcmp(a->operation, b->operation) == 0 &&
         strcmp(a->variant, b->variant) == 0;
}

// The row of a stage, or a new one; NULL when there is no room, and then the time shows as the stage's rest.
static row *find(lmmc_profile *p, const char *stage, const lmmc_profile_key *key) {
  for (int i = 0; i < p->row_count; i++)
    if (p->rows[i].stage == stage && same(&p->rows[i].key, key)) return &p->rows[i];
  if (p->row_count == LMMC_PROFILE_ROWS) return NULL;
  p->rows[p->row_count] = (row){.key = *key, .stage = stage};
  return &p->rows[p->row_count++];
}

void lmmc_profile_operation(lmmc_profile *p, const lmmc_profile_key *key, double seconds, double flops, double bytes) {
  row *r = find(p, NULL, key);
  if (!r) return;
  r->calls++;
  r->seconds += seconds;
  r->flops += flops;
  r->bytes += bytes;
}

void lmmc_profile_stage(lmmc_profile *p, const char *stage, double seconds) {
  int s = 0;
  while (s < p->stage_count && strcmp(p->stages[s].name, stage) != 0) s++;
  if (s == LMMC_PROFILE_STAGES) return;
  if (s == p->stage_count) p->stages[p->stage_count++].name = stage;
  p->stages[s].seconds += seconds;
  p->stages[s].calls++;
  // What the stage did goes to its rows of earlier calls.
  int kept = 0;
  row fresh[LMMC_PROFILE_ROWS];
  int count = 0;
  for (int i = 0; i < p->row_count; i++) {
    if (p->rows[i].stage)
      p->rows[kept++] = p->rows[i];
    else
      fresh[count++] = p->rows[i];
  }
  p->row_count = kept;
  for (int i = 0; i < count; i++) {
    row *r = find(p, p->stages[s].name, &fresh[i].key);
    if (!r) continue;
    r->calls += fresh[i].calls;
    r->seconds += fresh[i].seconds;
    r->flops += fresh[i].flops;
    r->bytes += fresh[i].bytes;
  }
}

// The least time in which the work of a row could be done; 0 where there is no ceiling.
static double least_seconds(const row *r, lmmc_ceilings *ceilings, double read) {
  const double arithmetic = lmmc_ceiling_arithmetic(ceilings, r->key.operation, r->key.variant);
  if (arithmetic == 0 || read == 0) return 0;
  return r->flops / arithmetic > r->bytes / read ? r->flops / arithmetic : r->bytes / read;
}

static void print_line(FILE *to, const char *name, int64_t calls, double seconds, double all) {
  fprintf(to, "  %-44s %7lld %10.2f %6.1f %%", name, (long long)calls, seconds * 1e3, all > 0 ? 100 * seconds / all : 0);
}

static void print_ceilings(const lmmc_profile *p, lmmc_ceilings *ceilings, FILE *to, double read) {
  fprintf(to, "ceilings, measured now: memory read %.1f GB/s", read * 1e-9);
  for (int i = 0; i < p->row_count; i++) {
    bool is_new = true;
    for (int j = 0; j < i; j++)
      if (strcmp(p->rows[j].key.operation, p->rows[i].key.operation) == 0 && strcmp(p->rows[j].key.variant, p->rows[i].key.variant) == 0)
        is_new = false;
    const double rate = is_new ? lmmc_ceiling_arithmetic(ceilings, p->rows[i].key.operation, p->rows[i].key.variant) : 0;
    if (rate > 0) fprintf(to, "; %s by %s %.0f G/s", p->rows[i].key.operation, p->rows[i].key.variant, rate * 1e-9);
  }
  fputc('\n', to);
}

void lmmc_profile_print(const lmmc_profile *p, FILE *to, const uint8_t *weights, uint64_t count) {
  enum { MOST = 512 << 20 };
  lmmc_ceilings ceilings = {0};
  const double read = lmmc_ceiling_read(weights, count < MOST ? count : MOST);
  fprintf(to, "%-46s %7s %10s %8s %10s %10s %9s %10s  %s\n", "operation", "calls", "ms", "share", "MB", "GFLOP/s", "GB/s", "of ceiling",
          "kernel");
  for (int s = 0; s < p->stage_count; s++) {
    fprintf(to, "%s: %.2f ms\n", p->stages[s].name, p->stages[s].seconds * 1e3);
    double known = 0;
    bool printed[LMMC_PROFILE_ROWS] = {0};
    for (;;) {
      int most = -1;
      for (int i = 0; i < p->row_count; i++)
        if (!printed[i] && p->rows[i].stage == p->stages[s].name && (most < 0 || p->rows[i].seconds > p->rows[most].seconds)) most = i;
      if (most < 0) break;
      printed[most] = true;
      const row *r = &p->rows[most];
      char name[96];
      if (r->key.columns)
        snprintf(name, sizeof name, "%s %lld x %lld x %lld", r->key.operation, (long long)r->key.rows, (long long)r->key.columns,
                 (long long)r->key.depth);
      else
        snprintf(name, sizeof name, "%s, %lld queries", r->key.operation, (long long)r->key.rows);
      print_line(to, name, r->calls, r->seconds, p->stages[s].seconds);
      const double least = least_seconds(r, &ceilings, read), per = r->seconds > 0 ? 1e-9 / r->seconds : 0;
      fprintf(to, " %10.1f %10.1f %9.1f ", r->bytes * 1e-6, r->flops * per, r->bytes * per);
      if (least > 0 && r->seconds > 0)
        fprintf(to, "%8.0f %%", 100 * least / r->seconds);
      else
        fprintf(to, "%10s", "-");
      fprintf(to, "  %s\n", r->key.variant);
      known += r->seconds;
    }
    print_line(to, "the rest: norms, gates, rotary, quantising", p->stages[s].calls, p->stages[s].seconds - known, p->stages[s].seconds);
    fputc('\n', to);
  }
  print_ceilings(p, &ceilings, to, read);
}
