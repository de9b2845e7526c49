// The toy model that stands in for emitted code in the tests of the session and the command line. Its state after each row is a hash of all
// rows of that slot up to there, each with its position, so an answer is right only when every token reached its place, in order, and the
// caches hold what they should. It has two blocks: the first keeps every row, the second those of odd values, so that they have other
// lengths. As a program with -DFAKE_REDUCER it becomes fewer rows of some pictures than of others, and says which vision rows its blocks keep.
#ifndef CLI_FAKE_MODEL_H
#define CLI_FAKE_MODEL_H
#include <stdbool.h>
#include <stdint.h>

#ifndef FAKE_SLOTS
#define FAKE_SLOTS 4
#endif

enum {
  FAKE_VOCABULARY = 448,  // more rows than the small tokenizer has pieces
  FAKE_HIDDEN = 6,
#ifdef FAKE_LONG
  FAKE_CONTEXT = 256,
#else
  FAKE_CONTEXT = 96,
#endif
  FAKE_CHUNK = FAKE_SLOTS + 3,
  FAKE_WANTED_ROWS = FAKE_SLOTS + 1,
  FAKE_SEQUENCES = FAKE_SLOTS,
  FAKE_BLOCKS = 2,
  FAKE_SIZE = 12,
  FAKE_VISION_TOKENS = 4,
  FAKE_MAX_IMAGES = 3,
  FAKE_MOST_KEPT = 8,
  FAKE_MOST_ASKED = 12,
  FAKE_YIELDS = 3,  // while a picture goes through the tower
  FAKE_EOS = 2,
  FAKE_OTHER_EOS = 440,
};

// What was called, the rows whose logits were made, the steps that made equal ones of each of several rows; and the rows that each slot was
// fed, the most that it held at once, and the calls that had some.
typedef struct {
  int steps, decodes, wanted, alike, rows[FAKE_SEQUENCES], most[FAKE_SEQUENCES], slot_calls[FAKE_SEQUENCES];
  int pictures;  // that the tower has seen
} fake_call_counts;
extern fake_call_counts fake_calls;
extern bool fake_is_ahead;    // whether the second block has rows of images alone, as one ahead of a decoder
extern bool fake_drops_rows;  // whether the second block drops vision rows, with -DFAKE_DROPS_VISION

static inline uint64_t fake_mix(uint64_t state, uint64_t value) {
  state = (state ^ value) * UINT64_C(0x9E3779B97F4A7C15);
  return state ^ state >> 29;
}

// What becomes of a token, and of a vision row f32 [FAKE_HIDDEN].
static inline uint64_t fake_token_value(int32_t token) { return fake_mix(1, (uint64_t)token + 17); }

static inline uint64_t fake_row_value(const float *row) {
  uint64_t value = 1;
  for (int i = 0; i < FAKE_HIDDEN; i++) value = fake_mix(value, (uint64_t)(int64_t)(row[i] * 1024));
  return value;
}

// Sums over the rows in each block, and the position of the next row.
typedef struct {
  uint64_t blocks[FAKE_BLOCKS];
  int32_t position;
} fake_state;

// Another row.
static inline fake_state fake_next(fake_state s, uint64_t value) {
  s.blocks[0] = fake_mix(s.blocks[0], fake_mix(value, (uint64_t)s.position++));
  if (value & 1) s.blocks[1] = fake_mix(s.blocks[1], value);
  return s;
}

static inline fake_state fake_token(fake_state s, int32_t token) { return fake_next(s, fake_token_value(token)); }

static inline fake_state fake_row(fake_state s, const float *row) { return fake_next(s, fake_row_value(row)); }

static inline float fake_logit(fake_state s, int32_t id) {
  uint64_t h = fake_mix(fake_mix(fake_mix(s.blocks[0], s.blocks[1]), (uint64_t)id), 11);
  return (float)(h >> 44) / 65536.0f - 8;
}

// What a program that counts says: rows that a picture becomes, 1 to FAKE_VISION_TOKENS, and patch i of those that are selected for it.
static inline int32_t fake_rows(const uint8_t *picture) { return 1 + picture[FAKE_SIZE * FAKE_SIZE * 3 / 2] % FAKE_VISION_TOKENS; }

static inline int32_t fake_selected(const uint8_t *picture, int i) { return i < fake_rows(picture) ? picture[FAKE_SIZE * 3 + i] : -1; }

// What the question and the bars of a picture add to each value of its rows.
static inline float fake_asked(const int32_t *question, int64_t count, const int32_t bars[4]) {
  uint64_t sum = 3;
  for (int64_t i = 0; i < count; i++) sum = fake_mix(sum, (uint64_t)question[i]);
  for (int i = 0; i < 4; i++) sum = fake_mix(sum, (uint64_t)bars[i]);
  return (float)(sum % 4096) / 64;
}

// Value i of projected row r of a picture u8 [FAKE_SIZE, FAKE_SIZE, 3].
static inline float fake_projected(const uint8_t *picture, int r, int i) {
  int sum = 0;
  for (int k = r; k < FAKE_SIZE * FAKE_SIZE * 3; k += FAKE_VISION_TOKENS) sum += picture[k] * (1 + (k / 7 + i) % 5);
  return (float)sum / 1024;
}

#endif
