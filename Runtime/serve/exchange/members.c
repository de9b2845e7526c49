#include "members.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

const json_t *lmmc_member(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  return value && !json_is_null(value) ? value : NULL;
}

bool lmmc_member_bool(const json_t *object, const char *key, bool *to, lmmc_fault *f) {
  const json_t *value = lmmc_member(object, key);
  if (!value) return true;
  if (!json_is_boolean(value)) return lmmc_refuse(f, 400, NULL, key, "'%s' wants true or false", key);
  *to = json_is_true(value);
  return true;
}

bool lmmc_member_whole(const json_t *object, const char *key, int64_t least, int64_t most, int64_t *to, lmmc_fault *f) {
  const json_t *value = lmmc_member(object, key);
  if (!value) return true;
  if (!json_is_integer(value) || json_integer_value(value) < least || json_integer_value(value) > most)
    return lmmc_refuse(f, 400, NULL, key, "'%s' wants a whole number from %" PRId64 " to %" PRId64, key, least, most);
  *to = json_integer_value(value);
  return true;
}

bool lmmc_member_real(const json_t *object, const char *key, double least, double most, double *to, lmmc_fault *f) {
  const json_t *value = lmmc_member(object, key);
  if (!value) return true;
  const double number = json_number_value(value);
  if (!json_is_number(value) || !(number >= least && number <= most))
    return lmmc_refuse(f, 400, NULL, key, "'%s' wants a number from %g to %g", key, least, most);
  *to = number;
  return true;
}

bool lmmc_members_of_sampling(const json_t *object, lmmc_sampling *to, lmmc_fault *f) {
  int64_t seed = (int64_t)to->seed;
  const bool done =
      lmmc_member_real(object, "temperature", 0, 100, &to->temperature, f) && lmmc_member_real(object, "top_p", 0, 1, &to->top_p, f) &&
      lmmc_member_whole(object, "top_k", 0, INT32_MAX, &to->top_k, f) && lmmc_member_real(object, "min_p", 0, 1, &to->min_p, f) &&
      lmmc_member_real(object, "repeat_penalty", 1e-3, 1e3, &to->repeat_penalty, f) &&
      lmmc_member_real(object, "presence_penalty", -100, 100, &to->presence_penalty, f) &&
      lmmc_member_real(object, "frequency_penalty", -100, 100, &to->frequency_penalty, f) &&
      (!lmmc_member(object, "seed") || lmmc_member_whole(object, "seed", INT64_MIN, INT64_MAX, &seed, f));
  if (done && !(to->top_p > 0)) return lmmc_refuse(f, 400, NULL, "top_p", "'top_p' wants a number above 0 and at most 1");
  to->seed = (uint64_t)seed;
  return done;
}

bool lmmc_member_stops(const json_t *object, lmmc_asked *to, lmmc_fault *f) {
  const json_t *value = lmmc_member(object, "stop");
  if (!value) return true;
  lmmc_asked_clear_stops(to);
  const size_t count = json_is_array(value) ? json_array_size(value) : 1;
  for (size_t i = 0; i < count; i++) {
    const json_t *text = json_is_array(value) ? json_array_get(value, i) : value;
    if (!json_is_string(text)) return lmmc_refuse(f, 400, NULL, "stop", "'stop' wants a text, or a list of texts");
    if (!lmmc_asked_add_stop(to, json_string_value(text), json_string_length(text), f)) return false;
  }
  return true;
}

const char *lmmc_member_of(const json_t *object, const char *const *keys) {
  for (; *keys; keys++) {
    const json_t *value = lmmc_member(object, *keys);
    if (!value || json_is_false(value)) continue;
    if (json_is_array(value) && json_array_size(value) == 0) continue;
    if (json_is_object(value) && json_object_size(value) == 0) continue;
    if (json_is_string(value) && (json_string_length(value) == 0 || strcmp(json_string_value(value), "none") == 0)) continue;
    return *keys;
  }
  return NULL;
}
