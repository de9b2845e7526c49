// What model.c is to a real program. The environment steers it: FAKE_TOKENS "5 6 7" makes those the likeliest tokens of a slot, one after
// the other; FAKE_LOGIT "3 nan" puts a value into the logits that are wanted of it for the fourth time; FAKE_WAIT "4" lets decode() read a
// byte from that file descriptor first, behind a prompt, and FAKE_WAIT_STEP lets step(); FAKE_COUNTS prints what was called at the end,
// FAKE_PICTURES how many pictures the tower has seen.
#include "cli_fake_model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "contract/program.h"
#include "../session/prompt_templates.h"

// BYTES: of the attached tokenizer, TREE_BYTES of the tree of its tokens behind it. -DFAKE_DECODER makes a program without a vision tower and
// with products of float32 weights, -DFAKE_REDUCER one whose pictures become a number of rows that it counts, and whose chunk is larger;
// -DFAKE_LONG one of a longer context. The slots begin and end within pages.
enum {
  IMAGE = 0,
  PROJECTED = 4096,
  ROWS = 8192,
  TOKENS = 12288,
  SLOTS = 12352,
  POSITIONS = 12416,
  WANTED = 12480,
  LENGTHS = 12544,
  COUNT = 12608,
  SELECTED = 12672,
  KEPT = 12736,
  QUESTION = 12864,
  BARS = 12928,
  ASKED = 12992,
  LOGITS = 16384,
  CACHES = 28672 - 64 + (FAKE_SLOTS - 4) * 2048,
  SLOT = 12288,
  ARENA = CACHES + FAKE_SEQUENCES * SLOT,
};

#ifdef FAKE_REDUCER
enum { CHUNK = 16 };
#else
enum { CHUNK = FAKE_CHUNK };
#endif

// With -DFAKE_DROPS_VISION the second block drops vision rows alone, and those of a program with a reducer, as real ones do.
#ifdef FAKE_DROPS_VISION
enum { DROPS_ALL = false };
#else
enum { DROPS_ALL = true };
#endif

// Each row is in two caches of its block, as it is and with all bits turned; in the last between bytes that nothing reads.
enum { KEYS, VALUES, ODD_KEYS, ODD_VALUES };
enum { CACHE = FAKE_CONTEXT > 96 ? 8 * FAKE_CONTEXT : 1024 };
static const lmmc_cache caches[] = {
    {CACHES, 8, 0},
    {CACHES + CACHE, 8, 0},
    {CACHES + 2 * CACHE, 8, 1},
    {CACHES + 3 * CACHE, 24, 1},
};

fake_call_counts fake_calls;
bool fake_is_ahead = false;
#ifdef FAKE_REDUCER
bool fake_drops_rows = true;
#else
bool fake_drops_rows = false;
#endif

__attribute__((destructor)) static void print_calls(void) {
  const fake_call_counts *c = &fake_calls;
  if (getenv("FAKE_PICTURES")) fprintf(stderr, "%d pictures\n", c->pictures);
  if (!getenv("FAKE_COUNTS")) return;
  fprintf(stderr, "%d steps, %d decodes, %d wanted, %d alike, rows", c->steps, c->decodes, c->wanted, c->alike);
  for (int s = 0; s < FAKE_SEQUENCES; s++) fprintf(stderr, " %d (%d)", c->rows[s], c->most[s]);
  fprintf(stderr, "\n");
}

static int calls[FAKE_SEQUENCES];  // times that logits of a slot were wanted since it was empty, but for the first

static void *arena(const lmmc_memory *m, uint64_t offset) { return m->arena + offset; }

static uint64_t *cache_row(const lmmc_memory *m, int cache, int32_t slot, int32_t place) {
  const lmmc_cache *c = &caches[cache];
  return arena(m, c->offset + (uint64_t)slot * SLOT + (uint64_t)place * c->row_bytes);
}

static int32_t *length(const lmmc_memory *m, int block, int32_t slot) {
  return (int32_t *)arena(m, LENGTHS) + block * FAKE_SEQUENCES + slot;
}

static void store(const lmmc_memory *m, int block, int32_t slot, uint64_t value) {
  const int32_t place = (*length(m, block, slot))++;
  if (place < 0 || place >= FAKE_CONTEXT) abort();
  *cache_row(m, 2 * block, slot, place) = value;
  *cache_row(m, 2 * block + 1, slot, place) = ~value;
}

// A sum over all rows that a block's caches hold.
static uint64_t recall(const lmmc_memory *m, int block, int32_t slot) {
  uint64_t state = 0;
  for (int32_t place = 0; place < *length(m, block, slot); place++) {
    const uint64_t value = *cache_row(m, 2 * block, slot, place);
    state = fake_mix(state, *cache_row(m, 2 * block + 1, slot, place) == ~value ? value : 0);
  }
  return state;
}

static void fill_logits(const lmmc_memory *m, int32_t row, int32_t slot) {
  const fake_state state = {.blocks = {recall(m, 0, slot), recall(m, 1, slot)}};
  float *logits = (float *)arena(m, LOGITS) + row * FAKE_VOCABULARY;
  for (int i = 0; i < FAKE_VOCABULARY; i++) logits[i] = fake_logit(state, i);
  char *list = getenv("FAKE_TOKENS"), *end;
  for (int i = 0; list && *list; i++, list = end) {
    long id = strtol(list, &end, 10);
    if (i == calls[slot] && end > list) logits[id] = 100;
    if (end == list) break;
  }
  const char *bad = getenv("FAKE_LOGIT");
  if (bad && strtol(bad, &end, 10) == calls[slot]) logits[5] = strtof(end, NULL);
  calls[slot]++;
}

#ifdef FAKE_REDUCER
// The vision rows of a call, and those of them that the second block keeps.
static void list_kept(const lmmc_memory *m, int64_t rows) {
  const int32_t *tokens = arena(m, TOKENS);
  int32_t *kept = arena(m, KEPT), counts[FAKE_BLOCKS] = {0};
  memset(kept, 0xFF, sizeof(int32_t) * FAKE_BLOCKS * FAKE_MOST_KEPT);
  for (int64_t i = 0; i < rows; i++) {
    if (tokens[i] >= 0) continue;
    const float *row = (float *)arena(m, ROWS) + (size_t)(-1 - tokens[i]) * FAKE_HIDDEN;
    kept[counts[0]++] = -1 - tokens[i];
    if (fake_row_value(row) & 1) kept[FAKE_MOST_KEPT + counts[1]++] = -1 - tokens[i];
  }
}
#endif

// The inputs are spoiled: what is not written anew does harm.
static void advance(const lmmc_memory *m, int64_t rows, int64_t wanted) {
  int32_t *tokens = arena(m, TOKENS), *slots = arena(m, SLOTS), *positions = arena(m, POSITIONS), *wants = arena(m, WANTED);
  const float *images = arena(m, ROWS);
  int64_t next = 0;
  unsigned seen = 0;
  if (rows < 1 || rows > CHUNK || wanted < 0 || wanted > FAKE_WANTED_ROWS) abort();
  for (int32_t i = 0; i < rows; i++) {
    if (tokens[i] >= FAKE_VOCABULARY || tokens[i] < -FAKE_MAX_IMAGES * FAKE_VISION_TOKENS) abort();
    if (slots[i] < 0 || slots[i] >= FAKE_SEQUENCES) abort();
    fake_calls.rows[slots[i]]++;
    if (!(seen >> slots[i] & 1)) fake_calls.slot_calls[slots[i]]++;
    seen |= 1u << slots[i];
    const uint64_t value = tokens[i] < 0 ? fake_row_value(images + (size_t)(-1 - tokens[i]) * FAKE_HIDDEN) : fake_token_value(tokens[i]);
    if (*length(m, 0, slots[i]) == 0) calls[slots[i]] = 0;
    store(m, 0, slots[i], fake_mix(value, (uint64_t)positions[i]));
    if (*length(m, 0, slots[i]) > fake_calls.most[slots[i]]) fake_calls.most[slots[i]] = *length(m, 0, slots[i]);
    if (fake_is_ahead ? tokens[i] < 0 : (value & 1) || (!DROPS_ALL && (tokens[i] >= 0 || !fake_drops_rows))) store(m, 1, slots[i], value);
    if (next < wanted && wants[next] == i) fill_logits(m, (int32_t)next++, slots[i]);
  }
  if (next < wanted) abort();
  fake_calls.wanted += (int)wanted;
  const float *logits = arena(m, LOGITS);
  bool alike = wanted == rows && rows > 1;
  for (int64_t i = 1; i < wanted; i++) alike = alike && memcmp(logits, logits + i * FAKE_VOCABULARY, FAKE_VOCABULARY * sizeof(float)) == 0;
  fake_calls.alike += alike;
  memset(tokens, 0x7F, LENGTHS - TOKENS);
}

// Reads a byte from the file descriptor that the environment names.
static void wait_on(const char *variable) {
  const char *fd = getenv(variable);
  char byte;
  while (fd && read(atoi(fd), &byte, 1) < 0)
    if (errno != EINTR) abort();
}

static void step(const lmmc_memory *m, int64_t rows, int64_t wanted) {
  wait_on("FAKE_WAIT_STEP");
  fake_calls.steps++;
#ifdef FAKE_REDUCER
  list_kept(m, rows);
#endif
  advance(m, rows, wanted);
}

static void decode(const lmmc_memory *m) {
  if (calls[*(int32_t *)arena(m, SLOTS)] > 0) wait_on("FAKE_WAIT");
  *(int32_t *)arena(m, WANTED) = 0;
  fake_calls.decodes++;
  advance(m, 1, 1);
}

#ifndef FAKE_DECODER
static void vision(const lmmc_memory *m) {
  fake_calls.pictures++;
  for (int i = 0; i < FAKE_YIELDS; i++) lmmc_yield(m);
  // The tower's work is all done in project(); this only spoils what must not be read any more.
  memset(m->arena + PROJECTED, 0xFF, sizeof(float) * FAKE_VISION_TOKENS * FAKE_HIDDEN);
}

static void project(const lmmc_memory *m) {
  float *out = (float *)(void *)(m->arena + PROJECTED);
  for (int r = 0; r < FAKE_VISION_TOKENS; r++)
    for (int i = 0; i < FAKE_HIDDEN; i++) out[r * FAKE_HIDDEN + i] = fake_projected(m->arena + IMAGE, r, i);
#ifdef FAKE_REDUCER
  const float asked = fake_asked(arena(m, QUESTION), *(int32_t *)arena(m, ASKED), arena(m, BARS));
  for (int i = 0; i < FAKE_VISION_TOKENS * FAKE_HIDDEN; i++) out[i] += asked;
  *(int32_t *)arena(m, COUNT) = fake_rows(m->arena + IMAGE);
  for (int i = 0; i < FAKE_VISION_TOKENS; i++) ((int32_t *)arena(m, SELECTED))[i] = fake_selected(m->arena + IMAGE, i);
#endif
}
#endif

const lmmc_model lmmc_program = {
    .version = "1.2.3",
    .info = "{\"precision\": \"f32\", \"layers\": 2}\n",
#ifndef FAKE_DECODER
    .preprocess = {.mode = LMMC_RESIZE_PAD, .size = FAKE_SIZE, .background = {122, 116, 104}},
    .mean = {0.48145466f, 0.4578275f, 0.40821073f},
    .std = {0.26862954f, 0.26130258f, 0.27577711f},
    .vision_tokens = FAKE_VISION_TOKENS,
    .max_images = FAKE_MAX_IMAGES,
    .prompt = TEMPLATE_VICUNA_V1,
#else
    .prompt = TEMPLATE_NONE,
    .float32_products = true,
#endif
    .hidden = FAKE_HIDDEN,
    .vocabulary = FAKE_VOCABULARY,
    .chunk = CHUNK,
    .wanted_rows = FAKE_WANTED_ROWS,
    .sequences = FAKE_SEQUENCES,
    .context = FAKE_CONTEXT,
    .blocks = FAKE_BLOCKS,
    .caches = caches,
    .cache_count = sizeof caches / sizeof *caches,
    .slots_offset = CACHES,
    .slot_bytes = SLOT,
    .adds_bos = true,
    .bos = 1,
    .eos_count = 2,
    .eos = {FAKE_EOS, FAKE_OTHER_EOS},
    .attachment_bytes = BYTES + TREE_BYTES,
    .tokenizer_offset = 0,
    .tokenizer_bytes = BYTES,
    .token_tree_offset = BYTES,
    .token_tree_bytes = TREE_BYTES,
    .arena_bytes = ARENA,
    .cache_bytes = 48 * FAKE_CONTEXT,
    .cache_type = LMMC_KV_BF16,
    .image_bytes = ROWS - IMAGE,
    .chunk_bytes = LENGTHS - TOKENS + sizeof(float) * FAKE_VOCABULARY,
    .image = IMAGE,
    .projected = PROJECTED,
    .vision_rows = ROWS,
    .tokens = TOKENS,
    .slots = SLOTS,
    .positions = POSITIONS,
    .wanted = WANTED,
    .lengths = LENGTHS,
    .logits = LOGITS,
#ifdef FAKE_REDUCER
    .reducer = "fake:keep=odd",
    .whole_prompts = true,
    .projected_rows = COUNT,
    .question_bound = FAKE_MOST_ASKED,
    .question_tokens = ASKED,
    .question = QUESTION,
    .reads_bars = true,
    .bars = BARS,
    .selected_count = FAKE_VISION_TOKENS,
    .selected = SELECTED,
    .kept_points = FAKE_BLOCKS,
    .kept_bound = FAKE_MOST_KEPT,
    .kept = KEPT,
#endif
};

#ifdef FAKE_DECODER
// What the kernels say of themselves.
const char *lmmc_kernel_variant(const char *kernel);
const char *lmmc_kernel_variant(const char *kernel) { return strcmp(kernel, "q8") == 0 ? "avxvnni" : "avx2"; }
const char *lmmc_attention_f32_variant(void);
const char *lmmc_attention_f32_variant(void) { return "avx512"; }
const char *lmmc_attention_bf16_variant(void);
const char *lmmc_attention_bf16_variant(void) { return "avx512bf16"; }
const char *lmmc_blas_core(void);
const char *lmmc_blas_core(void) { return "Haswell"; }
#endif

const lmmc_code LMMC_LEVELED(lmmc_code) = {
#ifndef FAKE_DECODER
    .vision = vision,
    .project = project,
#endif
    .step = step,
    .decode = decode,
};
