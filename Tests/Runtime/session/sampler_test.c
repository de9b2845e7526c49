// The sampler: exact choices where they are certain, frequencies where they are not, and the random numbers themselves.
#include "session/sampler.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../check.h"

enum { DRAWS = 200000 };

static lmmc_error error;

static lmmc_sampler open_sampler(int32_t n, double temperature, int32_t top_k, double top_p, uint64_t seed) {
  lmmc_sampler s;
  lmmc_sampling how = LMMC_GREEDY;
  how.temperature = temperature, how.top_k = top_k, how.top_p = top_p, how.seed = seed;
  CHECK(lmmc_sampler_open(&s, n, &how, &error), "%s", error.message);
  return s;
}

// xoshiro256** from splitmix64(seed), by the published definitions in another form: 128-bit products and explicit masks.
static void generator(void) {
  static const uint64_t seeds[] = {0, 1, 42, UINT64_MAX};
  for (int k = 0; k < 4; k++) {
    lmmc_sampler s = open_sampler(1, 0, 0, 1, seeds[k]);
    uint64_t a[4], x = seeds[k];
    for (int i = 0; i < 4; i++) {
      x += 11400714819323198485ull;
      uint64_t z = x;
      z = (uint64_t)((unsigned __int128)(z ^ (z >> 30)) * 13787848793156543929ull);
      z = (uint64_t)((unsigned __int128)(z ^ (z >> 27)) * 10723151780598845931ull);
      a[i] = z ^ (z >> 31);
    }
    for (int i = 0; i < 1000; i++) {
      uint64_t five = a[1] * 5, result = ((five << 7) + (five >> 57)) * 9, t = a[1] << 17;
      uint64_t n2 = a[2] ^ a[0], n3 = a[3] ^ a[1], n1 = a[1] ^ n2, n0 = a[0] ^ n3;
      a[0] = n0, a[1] = n1, a[2] = n2 ^ t, a[3] = (n3 << 45) + (n3 >> 19);
      double wanted = ldexp((double)(result >> 11), -53), got = lmmc_sampler_uniform(&s);
      if (got == wanted && got >= 0 && got < 1) continue;
      CHECK(false, "seed %" PRIu64 ", draw %d: %.17g, wanted %.17g", seeds[k], i, got, wanted);
      break;
    }
  }
  // splitmix64's own known first outputs for seed 0 fix the constants above.
  lmmc_sampler s = open_sampler(1, 0, 0, 1, 0);
  CHECK(s.state[0] == 0xE220A8397B1DCDAFull && s.state[1] == 0x6E789E6AA1B965F4ull && s.state[2] == 0x06C45D188009454Full, "%" PRIx64,
        s.state[0]);
}

static void greedy(void) {
  static const struct {
    float logits[5];
    int32_t wanted;
  } cases[] = {{{0, 1, 2, 1, 0}, 2},      {{3, 1, 3, 3, 0}, 0},
               {{-5, -4, -4, -9, -4}, 1}, {{-INFINITY, -INFINITY, -1e30f, -INFINITY, -INFINITY}, 2},
               {{0, -0.0f, 0, 0, 0}, 0},  {{0, 0, 0, 0, 1e-30f}, 4}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    lmmc_sampler s = open_sampler(5, 0, 1, 0.1, 7);
    int32_t id = lmmc_sample(&s, cases[i].logits, &error);
    CHECK(id == cases[i].wanted, "case %zu: %d", i, id);
    lmmc_sampler_close(&s);
    // The likeliest token also with one candidate, or almost no temperature, or almost no share; and equal weights
    // after rounding must not hide a larger logit.
    const double settings[][3] = {{1, 1, 1}, {1e-9, 0, 1}, {1e-5, 0, 1}, {100, 1, 1}, {1, 0, 1e-300}, {1, 3, 1e-9}};
    for (size_t k = 0; k < sizeof settings / sizeof *settings; k++) {
      if (k == 2 && (i == 1 || i == 2 || i >= 4)) continue;  // a draw among equals
      s = open_sampler(5, settings[k][0], (int32_t)settings[k][1], settings[k][2], 7);
      for (int draw = 0; draw < 20; draw++) {
        id = lmmc_sample(&s, cases[i].logits, &error);
        CHECK(id == cases[i].wanted, "case %zu, setting %zu: %d", i, k, id);
      }
      lmmc_sampler_close(&s);
    }
  }
}

static void broken(void) {
  static const struct {
    float logits[3];
    const char *message;
  } cases[] = {{{0, NAN, 1}, "the model gave a NaN as the logit of token 1"},
               {{-NAN, 0, 0}, "the model gave a NaN as the logit of token 0"},
               {{0, 1, INFINITY}, "the model gave an infinity as the logit of token 2"},
               {{-INFINITY, -INFINITY, -INFINITY}, "the model gave -infinity as the logit of every token"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    for (int temperature = 0; temperature < 2; temperature++) {
      lmmc_sampler s = open_sampler(3, temperature, 0, 1, 0);
      lmmc_error e = {0};
      CHECK(lmmc_sample(&s, cases[i].logits, &e) == -1 && e.code == 1 && strcmp(e.message, cases[i].message) == 0, "%zu: '%s'", i,
            e.message);
      lmmc_sampler_close(&s);
    }
}

// How often each token comes against the exact probabilities of temperature, then top-k, then top-p.
static void frequencies(void) {
  enum { N = 7 };
  static const float logits[N] = {0.5f, 2, -1, 2.5f, 0, 1.25f, -INFINITY};
  static const int32_t order[N] = {3, 1, 5, 0, 4, 2, 6};  // by logit
  static const struct {
    double temperature;
    int32_t k;
    double p;
  } settings[] = {{1, 0, 1},   {0.5, 0, 1}, {3, 0, 1},     {1, 3, 1},   {1, 7, 1},   {1, 100, 1},
                  {1, 0, 0.5}, {1, 0, 0.8}, {1, 0, 0.999}, {2, 4, 0.6}, {1, 2, 0.3}, {0.7, 5, 0.95}};
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
    double p[N] = {0}, sum = 0, kept = 0;
    int32_t k = settings[i].k > 0 && settings[i].k < N ? settings[i].k : N;
    for (int32_t j = 0; j < k; j++) sum += exp((double)logits[order[j]] / settings[i].temperature);
    for (int32_t j = 0; j < k && kept < settings[i].p; j++)
      kept += p[order[j]] = exp((double)logits[order[j]] / settings[i].temperature) / sum;
    lmmc_sampler s = open_sampler(N, settings[i].temperature, settings[i].k, settings[i].p, 1234 + i);
    int count[N] = {0};
    for (int draw = 0; draw < DRAWS; draw++) count[lmmc_sample(&s, logits, &error)]++;
    for (int j = 0; j < N; j++) {
      double wanted = p[j] / kept, deviation = sqrt(wanted * (1 - wanted) / DRAWS);
      CHECK(fabs((double)count[j] / DRAWS - wanted) <= 4.5 * deviation, "setting %zu, token %d: %d of %d, wanted %.4f", i, j, count[j],
            DRAWS, wanted);
    }
    lmmc_sampler_close(&s);
  }
}

// The heap against sorting, with many equal logits: top-k keeps the first of equals.
static void ties(void) {
  enum { N = 1000, K = 37 };
  static float logits[N];
  for (int i = 0; i < N; i++) logits[i] = (float)(i * 7919 % 11);
  lmmc_sampler s = open_sampler(N, 1e3, K, 1, 5);
  for (int draw = 0; draw < 3000; draw++) {
    int32_t id = lmmc_sample(&s, logits, &error);
    int better = 0;
    for (int i = 0; i < N; i++) better += logits[i] > logits[id] || (logits[i] == logits[id] && i < id);
    if (better >= K) CHECK(false, "token %d has %d before it", id, better);
  }
  CHECK(true, "%s", "");
  lmmc_sampler_close(&s);
}

static void seeds(void) {
  static float logits[300];
  for (int i = 0; i < 300; i++) logits[i] = (float)sin(i);
  for (int limited = 0; limited < 2; limited++) {
    lmmc_sampler a = open_sampler(300, 1, limited ? 50 : 0, 1, 99), b = open_sampler(300, 1, limited ? 50 : 0, 1, 99),
                 c = open_sampler(300, 1, limited ? 50 : 0, 1, 100);
    int same = 0, other = 0;
    for (int i = 0; i < 200; i++) {
      int32_t id = lmmc_sample(&a, logits, &error);
      same += id == lmmc_sample(&b, logits, &error);
      other += id == lmmc_sample(&c, logits, &error);
    }
    CHECK(same == 200 && other < 100, "%d and %d of 200 equal", same, other);
    lmmc_sampler_close(&a), lmmc_sampler_close(&b), lmmc_sampler_close(&c);
  }
}

// What is reckoned in before a token is chosen; and that the logits stay as they are.
static void reckoned(void) {
  static const float logits[4] = {1, 2, 1.5f, -1};
  const lmmc_logit_bias up = {3, 3.5f}, never = {1, -INFINITY}, both[] = {{1, -INFINITY}, {2, -INFINITY}}, outside = {4, 1};
  const struct {
    lmmc_sampling how;
    int32_t read, wanted[5];  // a token of the prompt; what is chosen then
  } cases[] = {
      {{.top_p = 1, .repeat_penalty = 1}, 1, {1, 1, 1, 1, 1}},
      {{.top_p = 1, .repeat_penalty = 1, .biases = &up, .bias_count = 1}, 1, {3, 3, 3, 3, 3}},
      {{.top_p = 1, .repeat_penalty = 1, .biases = &never, .bias_count = 1}, 1, {2, 2, 2, 2, 2}},
      {{.top_p = 1, .repeat_penalty = 1, .biases = both, .bias_count = 2}, 1, {0, 0, 0, 0, 0}},
      // 2 / 1.5 < 1.5; then 1.5 / 1.5 = 1, and 4 / 3 stays the likeliest
      {{.top_p = 1, .repeat_penalty = 1.5}, 1, {2, 1, 1, 1, 1}},
      {{.top_p = 1, .repeat_penalty = 1.5}, -1, {1, 2, 1, 1, 1}},
      // The prompt counts for nothing here; 2, 1.5, then 1.3 of token 1 and 1 of token 0
      {{.top_p = 1, .repeat_penalty = 1, .presence_penalty = 0.7}, 1, {1, 2, 1, 1, 1}},
      {{.top_p = 1, .repeat_penalty = 1, .frequency_penalty = 0.6}, 1, {1, 2, 1, 0, 2}},
      // A negative logit falls when it is multiplied
      {{.top_p = 1, .repeat_penalty = 2, .biases = (lmmc_logit_bias[]){{0, -9}, {1, -9}, {2, -9}}, .bias_count = 3}, 3, {3, 3, 3, 3, 3}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    lmmc_sampler s;
    CHECK(lmmc_sampler_open(&s, 4, &cases[i].how, &error), "case %zu: %s", i, error.message);
    lmmc_sampler_read(&s, &cases[i].read, 1);
    for (int k = 0; k < 5; k++) {
      const int32_t id = lmmc_sample(&s, logits, &error);
      CHECK(id == cases[i].wanted[k], "case %zu, token %d: %d", i, k, id);
    }
    lmmc_sampler_close(&s);
  }
  CHECK(logits[1] == 2 && logits[3] == -1, "%s", "other logits");
  lmmc_sampler s;
  lmmc_sampling how = LMMC_GREEDY;
  how.biases = &outside, how.bias_count = 1;
  CHECK(!lmmc_sampler_open(&s, 4, &how, &error) && error.code == 2, "%s", error.message);
  lmmc_sampler_close(&s);
  // All are barred.
  const lmmc_logit_bias all[] = {{0, -INFINITY}, {1, -INFINITY}, {2, -INFINITY}, {3, -INFINITY}};
  how.biases = all, how.bias_count = 4;
  CHECK(lmmc_sampler_open(&s, 4, &how, &error) && lmmc_sample(&s, logits, &error) == -1 && error.code == 1, "%s", error.message);
  lmmc_sampler_close(&s);
}

// Tokens that are not allowed are as if a bias barred them, whatever else is asked; one that is alone is taken without a draw.
static void allowed(void) {
  enum { TOKENS = 70 };
  float logits[TOKENS];
  for (int i = 0; i < TOKENS; i++) logits[i] = (float)((i * 29) % TOKENS) / 10;
  const lmmc_sampling settings[] = {
      LMMC_GREEDY,
      {.temperature = 1, .top_p = 1, .repeat_penalty = 1},
      {.temperature = 2, .top_p = 1, .repeat_penalty = 1, .top_k = 3},
      {.temperature = 1, .top_p = 0.8, .repeat_penalty = 1},
      {.temperature = 1, .top_p = 0.8, .repeat_penalty = 1.3, .top_k = 9, .frequency_penalty = 0.5},
      {.temperature = 1, .top_p = 1, .repeat_penalty = 1, .min_p = 0.2},
  };
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
    const uint64_t set[2] = {UINT64_C(0x8000100300400001), 0x21};
    lmmc_logit_bias biases[TOKENS];
    lmmc_sampling barred = settings[i];
    barred.biases = biases;
    for (int32_t k = 0; k < TOKENS; k++)
      if (!(set[k / 64] >> k % 64 & 1)) biases[barred.bias_count++] = (lmmc_logit_bias){k, -INFINITY};
    lmmc_sampler a, b;
    CHECK(lmmc_sampler_open(&a, TOKENS, &settings[i], &error) && lmmc_sampler_restrict(&a, &error) &&
              lmmc_sampler_open(&b, TOKENS, &barred, &error),
          "%s", error.message);
    int other = 0, outside = 0;
    for (int k = 0; k < 500; k++) {
      const int32_t id = lmmc_sample_allowed(&a, logits, set, &error);
      outside += id < 0 || !(set[id / 64] >> id % 64 & 1);
      other += id != lmmc_sample(&b, logits, &error);
    }
    CHECK(other == 0 && outside == 0, "setting %zu: %d other tokens, %d that are not allowed", i, other, outside);
    CHECK(lmmc_sampler_take(&a, 1, &error) && !lmmc_sampler_take(&b, 1, &error) && lmmc_sampler_take(&b, 0, &error), "setting %zu", i);
    CHECK(lmmc_sampler_uniform(&a) == lmmc_sampler_uniform(&b), "setting %zu: other draws", i);
    const uint64_t none[2] = {0};
    CHECK(lmmc_sample_allowed(&a, logits, none, &error) == -1 && error.code == 1, "setting %zu", i);
    lmmc_sampler_close(&a), lmmc_sampler_close(&b);
  }
  // What is taken was said.
  lmmc_sampling how = LMMC_GREEDY;
  how.presence_penalty = 1;
  lmmc_sampler s;
  const float two[2] = {1, 0.5f};
  CHECK(lmmc_sampler_open(&s, 2, &how, &error) && lmmc_sampler_take(&s, 0, &error) && lmmc_sample(&s, two, &error) == 1, "%s",
        error.message);
  lmmc_sampler_close(&s);
}

// min-p leaves those whose probability is at least the share of the likeliest's, by the same draws as top-k where it leaves as many.
static void least_share(void) {
  static const float logits[5] = {0, 1, 3, 2.5f, -1};
  const struct {
    double min_p;
    int64_t k;
  } cases[] = {{1, 1}, {0.61, 1}, {0.6, 2}, {0.14, 2}, {0.13, 3}, {0.05, 3}, {0.04, 4}, {0.018, 5}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    lmmc_sampling a = LMMC_GREEDY, b;
    lmmc_sampler by_share, by_count;
    a.temperature = 1, a.seed = i;
    b = a;
    a.min_p = cases[i].min_p, b.top_k = cases[i].k;
    CHECK(lmmc_sampler_open(&by_share, 5, &a, &error) && lmmc_sampler_open(&by_count, 5, &b, &error), "%s", error.message);
    int other = 0;
    bool seen[5] = {false};
    for (int k = 0; k < 5000; k++) {
      const int32_t id = lmmc_sample(&by_share, logits, &error);
      if (cases[i].k < 5) other += id != lmmc_sample(&by_count, logits, &error);
      seen[id] = true;
    }
    int64_t kinds = 0;
    for (int k = 0; k < 5; k++) kinds += seen[k];
    CHECK(other == 0 && kinds == cases[i].k, "min-p %g: %d other draws, %d kinds", cases[i].min_p, other, (int)kinds);
    lmmc_sampler_close(&by_share);
    lmmc_sampler_close(&by_count);
  }
}

// min-p comes behind top-k and top-p, which count what it drops.
static void order_of_limits(void) {
  lmmc_sampling how = LMMC_GREEDY;
  // Weights 1, 0.5, 0.1 and next to nothing: 0.64 of 1.6 needs two, and 0.64 of 1.5 would need one.
  const float four[4] = {0, -0.6931472f, -2.3025851f, -30};
  how.temperature = 1, how.top_p = 0.64, how.min_p = 0.3, how.top_k = 3;
  lmmc_sampler s;
  CHECK(lmmc_sampler_open(&s, 4, &how, &error), "%s", error.message);
  int second = 0;
  for (int i = 0; i < 3000; i++) second += lmmc_sample(&s, four, &error) == 1;
  CHECK(second > 900 && second < 1100, "%d draws of the second", second);
  lmmc_sampler_close(&s);
}

static void log_probabilities(void) {
  static const float logits[6] = {0, 2, 2, -INFINITY, 1, 2};
  lmmc_log_probability best[4];
  lmmc_log_probabilities(logits, 6, best, 4);
  const double whole = log(1 + 3 * exp(2) + exp(1));
  const int32_t ids[] = {1, 2, 5, 4};
  for (int i = 0; i < 4; i++)
    CHECK(best[i].id == ids[i] && fabs((double)best[i].value - ((double)logits[ids[i]] - whole)) < 1e-6, "%d: %d, %g", i, best[i].id,
          (double)best[i].value);
  CHECK(fabs((double)lmmc_log_probability_of(logits, 6, 4) - (1 - whole)) < 1e-6, "%g", whole);
  CHECK(lmmc_log_probability_of(logits, 6, 3) == -INFINITY, "%g", whole);
}

int main(void) {
  reckoned();
  allowed();
  least_share();
  order_of_limits();
  log_probabilities();
  generator();
  greedy();
  broken();
  frequencies();
  ties();
  seeds();
  return check_report();
}
