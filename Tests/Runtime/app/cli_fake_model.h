// The toy model that stands in for emitted code in the tests of the command line. Its state after each position is a hash
// of all tokens and vision rows up to there, so an answer is right only when every token reached its place, in order.
#ifndef CLI_FAKE_MODEL_H
#define CLI_FAKE_MODEL_H
#include <stdint.h>

enum {
  FAKE_VOCABULARY = 448,  // more rows than the small tokenizer has pieces
  FAKE_HIDDEN = 6,
  FAKE_CONTEXT = 96,
  FAKE_CHUNK = 7,
  FAKE_SCORE_ROWS = 5,
  FAKE_SIZE = 12,
  FAKE_VISION_TOKENS = 4,
  FAKE_MAX_IMAGES = 3,
  FAKE_EOS = 2,
  FAKE_OTHER_EOS = 440,
};

static inline uint64_t fake_mix(uint64_t state, uint64_t value) {
  state = (state ^ value) * UINT64_C(0x9E3779B97F4A7C15);
  return state ^ state >> 29;
}

static inline uint64_t fake_token(uint64_t state, int32_t token) { return fake_mix(state, (uint64_t)token + 17); }

// f32 [FAKE_HIDDEN], one vision row.
static inline uint64_t fake_row(uint64_t state, const float *row) {
  for (int i = 0; i < FAKE_HIDDEN; i++) state = fake_mix(state, (uint64_t)(int64_t)(row[i] * 1024));
  return fake_mix(state, 3);
}

static inline float fake_logit(uint64_t state, int32_t id) {
  uint64_t h = fake_mix(fake_mix(state, (uint64_t)id), 11);
  return (float)(h >> 44) / 65536.0f - 8;
}

// Value i of projected row r of a picture u8 [FAKE_SIZE, FAKE_SIZE, 3].
static inline float fake_projected(const uint8_t *picture, int r, int i) {
  int sum = 0;
  for (int k = r; k < FAKE_SIZE * FAKE_SIZE * 3; k += FAKE_VISION_TOKENS) sum += picture[k] * (1 + (k / 7 + i) % 5);
  return (float)sum / 1024;
}

#endif
