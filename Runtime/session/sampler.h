// Choice of the next token from raw logits: temperature, then top-k, then top-p, then one draw. The generator is
// xoshiro256** seeded through splitmix64, so that a seed gives the same draws on every machine.
#ifndef LMMC_SESSION_SAMPLER_H
#define LMMC_SESSION_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

typedef struct {
  float logit, weight;
  int32_t id;
} lmmc_candidate;

typedef struct {
  int32_t vocabulary, top_k;  // top_k 0: no limit
  double temperature, top_p;  // temperature 0: greedy; top_p 1: no limit
  uint64_t state[4];
  lmmc_candidate *candidates;  // [vocabulary]; not allocated for greedy
} lmmc_sampler;

bool lmmc_sampler_open(lmmc_sampler *s, int32_t vocabulary, double temperature, int32_t top_k, double top_p, uint64_t seed, lmmc_error *e);
void lmmc_sampler_close(lmmc_sampler *s);

// The next token for `logits` [vocabulary], which stay as they are; greedy ties go to the lowest id. Allocates nothing.
// -1 with `*e` filled (code 1) when a logit is NaN or +infinity, or all are -infinity.
int32_t lmmc_sample(lmmc_sampler *s, const float *logits, lmmc_error *e);

// A uniform number in [0, 1) with 53 random bits.
double lmmc_sampler_uniform(lmmc_sampler *s);

#endif
