#include "sampler.h"

#include <math.h>
#include <stdlib.h>

#define LEAST_TEMPERATURE 1e-6  // below it float32 logits that differ at all are as good as infinitely far apart

// ---- random numbers

static uint64_t splitmix64(uint64_t *x) {
  uint64_t z = *x += UINT64_C(0x9E3779B97F4A7C15);
  z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
  return z ^ z >> 31;
}

static uint64_t rotate(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

static uint64_t next(uint64_t s[4]) {
  uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotate(s[3], 45);
  return result;
}

double lmmc_sampler_uniform(lmmc_sampler *s) { return (double)(next(s->state) >> 11) * 0x1p-53; }

// ---- candidates

bool lmmc_sampler_open(lmmc_sampler *s, int32_t vocabulary, double temperature, int32_t top_k, double top_p, uint64_t seed, lmmc_error *e) {
  *s = (lmmc_sampler){.vocabulary = vocabulary, .top_k = top_k, .temperature = temperature, .top_p = top_p};
  for (int i = 0; i < 4; i++) s->state[i] = splitmix64(&seed);
  if (temperature < LEAST_TEMPERATURE) s->temperature = 0;
  if (s->temperature == 0) return true;
  s->candidates = malloc((size_t)vocabulary * sizeof *s->candidates);
  return s->candidates || lmmc_fail(e, 1, "out of memory for %d candidates", vocabulary);
}

void lmmc_sampler_close(lmmc_sampler *s) {
  free(s->candidates);
  s->candidates = NULL;
}

// A total order, so that the choice does not depend on how the heap came about.
static bool before(const lmmc_candidate *a, const lmmc_candidate *b) {
  return a->logit > b->logit || (a->logit == b->logit && a->id < b->id);
}

static void sift_down(lmmc_candidate *heap, int32_t count, int32_t i) {
  lmmc_candidate moved = heap[i];
  for (int32_t child; (child = 2 * i + 1) < count; i = child) {
    if (child + 1 < count && before(&heap[child + 1], &heap[child])) child++;
    if (!before(&heap[child], &moved)) break;
    heap[i] = heap[child];
  }
  heap[i] = moved;
}

// The id at which the running sum of weights passes a uniform share of `total`, over count candidates from the end of
// the array backwards (`step` -1) or from its start (`step` 1).
static int32_t draw(lmmc_sampler *s, const lmmc_candidate *c, int32_t count, int32_t step, double total) {
  double share = lmmc_sampler_uniform(s) * total, sum = 0;
  int32_t id = c->id;
  for (int32_t i = 0; i < count; i++, c += step) {
    if (c->weight > 0) id = c->id;  // rounding at the very end must not give an impossible token
    if ((sum += (double)c->weight) > share) break;
  }
  return id;
}

int32_t lmmc_sample(lmmc_sampler *s, const float *logits, lmmc_error *e) {
  int32_t n = s->vocabulary, best = 0;
  for (int32_t i = 0; i < n; i++) {
    if (isnan(logits[i]) || logits[i] == INFINITY) {
      lmmc_fail(e, 1, "the model gave %s as the logit of token %d", isnan(logits[i]) ? "a NaN" : "an infinity", i);
      return -1;
    }
    if (logits[i] > logits[best]) best = i;
  }
  if (logits[best] == -INFINITY) {
    lmmc_fail(e, 1, "the model gave -infinity as the logit of every token");
    return -1;
  }
  if (s->temperature == 0) return best;

  // Weights are exp((logit - best) / temperature), so the best one is 1; in double, then rounded, which hides the last
  // bit in which math libraries differ.
  lmmc_candidate *c = s->candidates;
  double total = 0, scale = 1 / s->temperature;
  for (int32_t i = 0; i < n; i++) {
    float weight = (float)exp(((double)logits[i] - (double)logits[best]) * scale);
    c[i] = (lmmc_candidate){logits[i], weight, i};
    total += (double)weight;
  }
  int32_t k = s->top_k > 0 && s->top_k < n ? s->top_k : n;
  if (k == n && s->top_p >= 1) return draw(s, c, n, 1, total);

  // A heap gives up the best ones in order; each goes to the place that it leaves free at the end.
  for (int32_t i = n / 2 - 1; i >= 0; i--) sift_down(c, n, i);
  double wanted = k == n ? s->top_p * total : INFINITY, sum = 0;
  int32_t taken = 0;
  while (taken == 0 || (taken < k && sum < wanted)) {
    int32_t left = n - taken - 1;
    lmmc_candidate top = c[0];
    c[0] = c[left];
    c[left] = top;
    sift_down(c, left, 0);
    sum += (double)top.weight;
    taken++;
  }
  if (k < n && s->top_p < 1) {  // top-p counts within the k best
    wanted = s->top_p * sum;
    sum = 0;
    int32_t kept = 0;
    while (kept == 0 || (kept < taken && sum < wanted)) sum += (double)c[n - 1 - kept++].weight;
    taken = kept;
  }
  return draw(s, c + n - 1, taken, -1, sum);
}
