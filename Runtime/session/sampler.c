#include "sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

static bool has_penalties(const lmmc_sampling *how) {
  return how->repeat_penalty != 1 || how->presence_penalty != 0 || how->frequency_penalty != 0;
}

bool lmmc_sampler_open(lmmc_sampler *s, int32_t vocabulary, const lmmc_sampling *how, lmmc_error *e) {
  *s = (lmmc_sampler){.vocabulary = vocabulary, .how = *how};
  for (int32_t i = 0; i < how->bias_count; i++)
    if (how->biases[i].id < 0 || how->biases[i].id >= vocabulary)
      return lmmc_fail(e, 2, "a logit bias is of token %d, this program knows tokens from 0 to %d", how->biases[i].id, vocabulary - 1);
  uint64_t seed = how->seed;
  const size_t count = (size_t)vocabulary;
  for (int i = 0; i < 4; i++) s->state[i] = splitmix64(&seed);
  if (how->temperature < LEAST_TEMPERATURE) s->how.temperature = 0;
  if (s->how.temperature > 0) s->candidates = malloc(count * sizeof *s->candidates);
  if (has_penalties(how)) s->said = calloc(count, sizeof *s->said);
  if (s->said || how->bias_count > 0) s->changed = malloc(count * sizeof *s->changed);
  return ((s->candidates || s->how.temperature == 0) && (s->said || !has_penalties(how)) &&
          (s->changed || (!s->said && how->bias_count == 0))) ||
         lmmc_fail(e, 1, "out of memory for %d candidates", vocabulary);
}

bool lmmc_sampler_restrict(lmmc_sampler *s, lmmc_error *e) {
  if (!s->changed) s->changed = malloc((size_t)s->vocabulary * sizeof *s->changed);
  return s->changed || lmmc_fail(e, 1, "out of memory for %d candidates", s->vocabulary);
}

void lmmc_sampler_close(lmmc_sampler *s) {
  free(s->candidates);
  free(s->changed);
  free(s->said);
  s->candidates = NULL, s->changed = NULL, s->said = NULL;
}

void lmmc_sampler_read(lmmc_sampler *s, const int32_t *tokens, int64_t count) {
  for (int64_t i = 0; s->said && i < count; i++)
    if (tokens[i] >= 0 && tokens[i] < s->vocabulary && s->said[tokens[i]] == 0) s->said[tokens[i]] = -1;
}

// The logits with what is reckoned in.
static const float *changed(lmmc_sampler *s, const float *logits, const uint64_t *allowed) {
  const lmmc_sampling *how = &s->how;
  if (!s->changed) return logits;
  memcpy(s->changed, logits, (size_t)s->vocabulary * sizeof *logits);
  for (int32_t i = 0; i < how->bias_count; i++) s->changed[how->biases[i].id] += how->biases[i].value;
  for (int32_t i = 0; s->said && i < s->vocabulary; i++) {
    if (s->said[i] == 0) continue;
    double logit = (double)s->changed[i];
    logit = logit > 0 ? logit / how->repeat_penalty : logit * how->repeat_penalty;
    if (s->said[i] > 0) logit -= how->presence_penalty + how->frequency_penalty * s->said[i];
    s->changed[i] = (float)logit;
  }
  for (int32_t i = 0; allowed && i < s->vocabulary; i++)
    if (!(allowed[i / 64] >> i % 64 & 1)) s->changed[i] = -INFINITY;
  return s->changed;
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

// The likeliest token; -1 where a logit is none.
static int32_t likeliest(const float *logits, int32_t n, lmmc_error *e) {
  int32_t best = 0;
  for (int32_t i = 0; i < n; i++) {
    if (isnan(logits[i]) || logits[i] == INFINITY) {
      lmmc_fail(e, 1, "the model gave %s as the logit of token %d", isnan(logits[i]) ? "a NaN" : "an infinity", i);
      return -1;
    }
    if (logits[i] > logits[best]) best = i;
  }
  return best;
}

// One of all by their weights, exp((logit - best) / temperature), so that the best one's is 1: in double, then rounded, which hides the last
// bit in which math libraries differ.
static int32_t choose(lmmc_sampler *s, const float *logits, int32_t best) {
  const lmmc_sampling *how = &s->how;
  const int32_t n = s->vocabulary;
  lmmc_candidate *c = s->candidates;
  double total = 0, scale = 1 / how->temperature;
  for (int32_t i = 0; i < n; i++) {
    float weight = (float)exp(((double)logits[i] - (double)logits[best]) * scale);
    c[i] = (lmmc_candidate){logits[i], weight, i};
    total += (double)weight;
  }
  int32_t k = how->top_k > 0 && how->top_k < n ? (int32_t)how->top_k : n;
  if (k == n && how->top_p >= 1 && how->min_p <= 0) return draw(s, c, n, 1, total);

  // A heap gives up the best ones in order; each goes to the place that it leaves free at the end.
  for (int32_t i = n / 2 - 1; i >= 0; i--) sift_down(c, n, i);
  const bool counts_within = k < n && how->top_p < 1;  // top-p counts within the k best
  double wanted = k == n ? how->top_p * total : INFINITY, sum = 0;
  int32_t taken = 0;
  while (taken == 0 || (taken < k && sum < wanted && (counts_within || (double)c[0].weight >= how->min_p))) {
    int32_t left = n - taken - 1;
    lmmc_candidate top = c[0];
    c[0] = c[left];
    c[left] = top;
    sift_down(c, left, 0);
    sum += (double)top.weight;
    taken++;
  }
  if (counts_within) {
    wanted = how->top_p * sum;
    sum = 0;
    int32_t kept = 0;
    while (kept == 0 || (kept < taken && sum < wanted && (double)c[n - 1 - kept].weight >= how->min_p))
      sum += (double)c[n - 1 - kept++].weight;
    taken = kept;
  }
  return draw(s, c + n - 1, taken, -1, sum);
}

static void say(lmmc_sampler *s, int32_t id) {
  if (s->said) s->said[id] = s->said[id] > 0 ? s->said[id] + 1 : 1;
}

int32_t lmmc_sample_allowed(lmmc_sampler *s, const float *logits, const uint64_t *allowed, lmmc_error *e) {
  int32_t best = likeliest(logits, s->vocabulary, e);
  if (best < 0) return -1;
  const float *given = logits;
  logits = changed(s, logits, allowed);
  if (logits != given) best = likeliest(logits, s->vocabulary, e);
  if (best < 0) return -1;
  if (logits[best] == -INFINITY) {
    lmmc_fail(e, 1, "%s",
              allowed      ? "no token is left that the grammar allows and that is not barred"
              : s->changed ? "no token is left that is not barred"
                           : "the model gave -infinity as the logit of every token");
    return -1;
  }
  const int32_t id = s->how.temperature == 0 ? best : choose(s, logits, best);
  say(s, id);
  return id;
}

int32_t lmmc_sample(lmmc_sampler *s, const float *logits, lmmc_error *e) { return lmmc_sample_allowed(s, logits, NULL, e); }

bool lmmc_sampler_take(lmmc_sampler *s, int32_t id, lmmc_error *e) {
  for (int32_t i = 0; i < s->how.bias_count; i++)
    if (s->how.biases[i].id == id && s->how.biases[i].value == -INFINITY)
      return lmmc_fail(e, 1, "the grammar allows token %d alone, and a bias bars it", id);
  say(s, id);
  return true;
}

// ---- probabilities

static double log_sum(const float *logits, int32_t n) {
  double most = -INFINITY, sum = 0;
  // Not by fmax: gcc 12 for ARM does not survive its reduction.
  for (int32_t i = 0; i < n; i++)
    if ((double)logits[i] > most) most = (double)logits[i];
  for (int32_t i = 0; i < n; i++) sum += exp((double)logits[i] - most);
  return most + log(sum);
}

void lmmc_log_probabilities(const float *logits, int32_t vocabulary, lmmc_log_probability *best, int32_t count) {
  const double whole = log_sum(logits, vocabulary);
  int32_t held = 0;
  for (int32_t i = 0; i < vocabulary; i++) {
    if (held == count && !(logits[i] > best[held - 1].value)) continue;
    int32_t at = held < count ? held++ : held - 1;
    for (; at > 0 && logits[i] > best[at - 1].value; at--) best[at] = best[at - 1];
    best[at] = (lmmc_log_probability){i, logits[i]};
  }
  for (int32_t i = 0; i < held; i++) best[i].value = (float)((double)best[i].value - whole);
}

float lmmc_log_probability_of(const float *logits, int32_t vocabulary, int32_t id) {
  return (float)((double)logits[id] - log_sum(logits, vocabulary));
}
