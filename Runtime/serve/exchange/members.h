// Members of a JSON object that a stranger has sent: each of the right kind and within bounds, or refused by its name. One that is not
// there, or null, leaves what it would have set.
#ifndef LMMC_SERVE_EXCHANGE_MEMBERS_H
#define LMMC_SERVE_EXCHANGE_MEMBERS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "asked.h"
#include "fault.h"

// A member that is there and not null; else NULL.
const json_t *lmmc_member(const json_t *object, const char *key);

bool lmmc_member_bool(const json_t *object, const char *key, bool *to, lmmc_fault *f);
bool lmmc_member_whole(const json_t *object, const char *key, int64_t least, int64_t most, int64_t *to, lmmc_fault *f);
bool lmmc_member_real(const json_t *object, const char *key, double least, double most, double *to, lmmc_fault *f);

// What samples, by OpenAI's names and, beside them, those of lmmc's options: temperature, top_p, top_k, min_p, seed, repeat_penalty,
// presence_penalty, frequency_penalty.
bool lmmc_members_of_sampling(const json_t *object, lmmc_sampling *to, lmmc_fault *f);

// "stop": a text, or a list of them.
bool lmmc_member_stops(const json_t *object, lmmc_asked *to, lmmc_fault *f);

// The first of these keys that the object has, unless it is false, an empty text, list or object, or `none`; NULL where there is none. The
// list ends with NULL.
const char *lmmc_member_of(const json_t *object, const char *const *keys);

#endif
