// Choice of the next token from raw logits. What was said before and what a caller wants is reckoned in first: biases, then penalties. Then
// temperature, top-k, top-p, min-p, in this order, and one draw. The generator is xoshiro256** seeded through splitmix64, so that a seed gives
// the same draws on every machine.
#ifndef LMMC_SESSION_SAMPLER_H
#define LMMC_SESSION_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

typedef struct {
  int32_t id;
  float value;  // added to its logit; -infinity: never
} lmmc_logit_bias;

// How a token is chosen; LMMC_GREEDY is what nothing else is asked.
typedef struct {
  double temperature;  // 0: always the likeliest
  int64_t top_k;       // 0: no limit
  double top_p;        // 1: no limit
  double min_p;        // least probability, as a share of the likeliest's; 0: no limit
  uint64_t seed;
  // Logits of tokens that the prompt or the answer has: above 0 they are divided by it and below multiplied (1: nothing). As Keskar et al. have
  // it (CTRL, 2019).
  double repeat_penalty;
  // Taken off the logits of tokens that the answer has, once and for each time; as OpenAI's API has them.
  double presence_penalty, frequency_penalty;
  const lmmc_logit_bias *biases;  // [bias_count]
  int32_t bias_count;
} lmmc_sampling;

#define LMMC_GREEDY ((lmmc_sampling){.top_p = 1, .repeat_penalty = 1})

typedef struct {
  float logit, weight;
  int32_t id;
} lmmc_candidate;

typedef struct {
  int32_t vocabulary;
  lmmc_sampling how;
  uint64_t state[4];
  lmmc_candidate *candidates;  // [vocabulary]; not allocated for greedy
  float *changed;              // [vocabulary], logits with biases, penalties and what is not allowed; not allocated without any
  int32_t *said;  // [vocabulary], how often the answer has a token, and -1 for the prompt alone; not allocated without penalties
} lmmc_sampler;

// Code 2 when a bias is of no token, 1 when memory is out; lmmc_sampler_close ends it in either case.
bool lmmc_sampler_open(lmmc_sampler *s, int32_t vocabulary, const lmmc_sampling *how, lmmc_error *e);
void lmmc_sampler_close(lmmc_sampler *s);

// Makes room for lmmc_sample_allowed, which then allocates nothing. Code 1 when memory is out.
bool lmmc_sampler_restrict(lmmc_sampler *s, lmmc_error *e);

// The prompt has these tokens; those below 0 are none.
void lmmc_sampler_read(lmmc_sampler *s, const int32_t *tokens, int64_t count);

// The next token for `logits` [vocabulary], which stay as they are; greedy ties go to the lowest id. Allocates nothing.
// -1 with `*e` filled (code 1) when a logit is NaN or +infinity, or none is left that is not -infinity.
int32_t lmmc_sample(lmmc_sampler *s, const float *logits, lmmc_error *e);

// The same of the tokens of a set alone, which has a bit for each, the lowest of a word first; the others are as if they were not. NULL: any.
int32_t lmmc_sample_allowed(lmmc_sampler *s, const float *logits, const uint64_t *allowed, lmmc_error *e);

// The next token is this one, whatever the logits: nothing is drawn. False, with code 1, where a bias bars it.
bool lmmc_sampler_take(lmmc_sampler *s, int32_t id, lmmc_error *e);

// A uniform number in [0, 1) with 53 random bits.
double lmmc_sampler_uniform(lmmc_sampler *s);

enum { LMMC_MOST_LOG_PROBABILITIES = 20 };

// The likeliest tokens of `logits` [vocabulary], by falling logit, then rising id, with the logarithms of their probabilities.
typedef struct {
  int32_t id;
  float value;  // natural logarithm
} lmmc_log_probability;
void lmmc_log_probabilities(const float *logits, int32_t vocabulary, lmmc_log_probability *best, int32_t count);

// The logarithm of one token's probability.
float lmmc_log_probability_of(const float *logits, int32_t vocabulary, int32_t id);

#endif
