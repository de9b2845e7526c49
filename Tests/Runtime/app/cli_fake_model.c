// What model.c is to a real program. The environment steers it: FAKE_TOKENS "5 6 7" makes those the likeliest tokens, one
// after the other; FAKE_LOGIT "3 nan" puts a value into the logits of call 3 (0: prefill); FAKE_WAIT "4" lets decode() read
// a byte from that file descriptor before it returns.
#include "cli_fake_model.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "contract/program.h"
#include "../session/prompt_templates.h"

// BYTES: of the attached tokenizer. -DFAKE_DECODER makes a program without a vision tower.
enum { STATE = 0, IMAGE = 4096, PROJECTED = 8192, ROWS = 12288, TOKENS = 16384, LOGITS = 20480, SCORES = 28672, ARENA = 40960 };

static int call;  // of prefill's last chunk and decode since the start of the prompt

static void fill_logits(const lmmc_memory *m, uint64_t offset, uint64_t state) {
  float *logits = (float *)(void *)(m->arena + offset);
  for (int i = 0; i < FAKE_VOCABULARY; i++) logits[i] = fake_logit(state, i);
  char *list = getenv("FAKE_TOKENS"), *end;
  for (int i = 0; list && *list; i++, list = end) {
    long id = strtol(list, &end, 10);
    if (i == call && end > list) logits[id] = 100;
    if (end == list) break;
  }
  const char *bad = getenv("FAKE_LOGIT");
  if (bad && strtol(bad, &end, 10) == call) logits[5] = strtof(end, NULL);
}

static uint64_t *states(const lmmc_memory *m) { return (uint64_t *)(void *)(m->arena + STATE); }

static void advance(const lmmc_memory *m, int64_t sequence, int64_t position) {
  const int32_t *tokens = (const int32_t *)(void *)(m->arena + TOKENS);
  const float *rows = (const float *)(void *)(m->arena + ROWS);
  if (sequence < 1 || position < 0 || position + sequence > FAKE_CONTEXT) abort();
  uint64_t state = position ? states(m)[position - 1] : 1;
  for (int64_t i = 0; i < sequence; i++) {
    if (tokens[i] >= FAKE_VOCABULARY || tokens[i] < -FAKE_MAX_IMAGES * FAKE_VISION_TOKENS) abort();
    state = tokens[i] < 0 ? fake_row(state, rows + (size_t)(-1 - tokens[i]) * FAKE_HIDDEN) : fake_token(state, tokens[i]);
    states(m)[position + i] = state;
  }
}

static void prefill(const lmmc_memory *m, int64_t sequence, int64_t position) {
  if (sequence > FAKE_CHUNK) abort();
  advance(m, sequence, position);
  call = 0;
  fill_logits(m, LOGITS, states(m)[position + sequence - 1]);
}

static void score(const lmmc_memory *m, int64_t sequence, int64_t position) {
  if (sequence > FAKE_SCORE_ROWS) abort();
  advance(m, sequence, position);
  for (int64_t i = 0; i < sequence; i++) fill_logits(m, SCORES + sizeof(float) * FAKE_VOCABULARY * (uint64_t)i, states(m)[position + i]);
}

static void decode(const lmmc_memory *m, int64_t position) {
  const int32_t *tokens = (const int32_t *)(void *)(m->arena + TOKENS);
  if (position < 1 || position >= FAKE_CONTEXT || tokens[0] < 0 || tokens[0] >= FAKE_VOCABULARY) abort();
  const char *wait = getenv("FAKE_WAIT");
  char byte;
  if (wait && read(atoi(wait), &byte, 1) < 0) abort();
  states(m)[position] = fake_token(states(m)[position - 1], tokens[0]);
  call++;
  fill_logits(m, LOGITS, states(m)[position]);
}

#ifndef FAKE_DECODER
static void vision(const lmmc_memory *m) {
  // The tower's work is all done in project(); this only spoils what must not be read any more.
  memset(m->arena + PROJECTED, 0xFF, sizeof(float) * FAKE_VISION_TOKENS * FAKE_HIDDEN);
}

static void project(const lmmc_memory *m) {
  float *out = (float *)(void *)(m->arena + PROJECTED);
  for (int r = 0; r < FAKE_VISION_TOKENS; r++)
    for (int i = 0; i < FAKE_HIDDEN; i++) out[r * FAKE_HIDDEN + i] = fake_projected(m->arena + IMAGE, r, i);
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
#endif
    .hidden = FAKE_HIDDEN,
    .vocabulary = FAKE_VOCABULARY,
    .context = FAKE_CONTEXT,
    .chunk = FAKE_CHUNK,
    .score_rows = FAKE_SCORE_ROWS,
    .adds_bos = true,
    .bos = 1,
    .eos_count = 2,
    .eos = {FAKE_EOS, FAKE_OTHER_EOS},
    .attachment_bytes = BYTES,
    .tokenizer_offset = 0,
    .tokenizer_bytes = BYTES,
    .arena_bytes = ARENA,
    .cache_bytes = IMAGE,
    .cache_type = LMMC_KV_BF16,
    .image_bytes = ROWS - IMAGE,
    .chunk_bytes = SCORES - TOKENS,
    .image = IMAGE,
    .projected = PROJECTED,
    .vision_rows = ROWS,
    .tokens = TOKENS,
    .logits = LOGITS,
    .scores = SCORES,
};

const lmmc_code LMMC_LEVELED(lmmc_code) = {
#ifndef FAKE_DECODER
    .vision = vision,
    .project = project,
#endif
    .prefill = prefill,
    .decode = decode,
    .score = score,
};
