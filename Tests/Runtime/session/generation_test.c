// The loop of an answer on the toy model of cli_fake_model.c: what a sink is told, and what ends it.
//   generation_test BLOB      of a tokenizer whose byte pieces are ids 3 to 258
#include "session/generation.h"

#include <stdlib.h>
#include <string.h>

#include "../app/cli_fake_model.h"
#include "../app/cli_json.h"
#include "../check.h"
#include "program/levels.h"

static lmmc_tokenizer tokenizer;
static lmmc_session session;
static int32_t slot;

// What was told, and at which token or row of logits it closes or fails; -1: never.
typedef struct {
  int32_t ids[16];
  size_t sizes[16];  // of each token's text
  int tokens, rows, ends;
  char text[64], rest[16];
  int closes, fails, fails_logits;
} listener;

static bool take_logits(void *context, const float *logits, lmmc_error *e) {
  listener *l = context;
  CHECK(logits == lmmc_logits(&session, 0), "%s", "other logits");
  return l->rows++ != l->fails_logits || lmmc_fail(e, 1, "no room for logits");
}

static lmmc_write_result take_token(void *context, int32_t id, const char *text, size_t bytes, lmmc_error *e) {
  listener *l = context;
  int i = l->tokens++;
  l->ids[i] = id, l->sizes[i] = bytes;
  if (bytes > 0) strncat(l->text, text, bytes);
  if (i == l->fails) return lmmc_fail(e, 1, "the line is cut"), LMMC_WRITE_FAILED;
  return i == l->closes ? LMMC_CLOSED : LMMC_WRITTEN;
}

static bool take_end(void *context, const char *text, size_t bytes, lmmc_error *e) {
  (void)e;
  listener *l = context;
  l->ends++;
  if (bytes > 0) strncat(l->rest, text, bytes);
  return true;
}

static const char *stops[3];  // of the next answers, NULL behind the last

// One answer of the tokens `likeliest`.
static bool answer(const char *likeliest, int64_t max_tokens, listener *l, lmmc_generation *g, lmmc_error *e) {
  setenv("FAKE_TOKENS", likeliest, 1);
  lmmc_ids prompt = {.values = (int32_t[]){1, 7}, .count = 2};
  lmmc_sampler sampler;
  lmmc_slot_clear(&session.slots, slot);
  lmmc_prefill(&session, slot, &prompt, NULL);
  lmmc_sink sink = {l, take_logits, take_token, take_end};
  *e = (lmmc_error){0};
  lmmc_stop texts[3];
  int count = 0;
  for (; count < 3 && stops[count]; count++) texts[count] = (lmmc_stop){stops[count], strlen(stops[count])};
  lmmc_answer a = {.model = session.model,
                   .tokenizer = &tokenizer,
                   .sampler = &sampler,
                   .sink = &sink,
                   .max_tokens = max_tokens,
                   .stops = texts,
                   .stop_count = count};
  bool done = lmmc_sampler_open(&sampler, session.model->vocabulary, &LMMC_GREEDY, e) && lmmc_generate(&session, slot, &a, e);
  *g = a.made;
  lmmc_answer_free(&a);
  lmmc_sampler_close(&sampler);
  return done;
}

int main(int argc, char **argv) {
  if (argc != 2) return fprintf(stderr, "usage: generation_test BLOB\n"), 2;
  size_t size;
  char *blob = read_whole(argv[1], &size);
  lmmc_error e = {0};
  lmmc_memory memory = {.arena = calloc(1, lmmc_program.arena_bytes)};
  if (!blob || !memory.arena || !lmmc_session_open(&session, &lmmc_program, &memory, &e) || !lmmc_levels_start(&e) ||
      !lmmc_tokenizer_open(&tokenizer, (uint8_t *)blob, size, &e))
    return fprintf(stderr, "generation_test: %s\n", e.message), 2;

  lmmc_slot_take(&session.slots);
  slot = lmmc_slot_take(&session.slots);
  static const struct {
    const char *likeliest;
    int max_tokens, closes, tokens, steps, rows;
    bool stopped;
    const char *text, *rest;
  } cases[] = {
      {"72 73 74 2", 9, -1, 3, 3, 4, true, "EFG", ""},
      {"72 73 440", 9, -1, 2, 2, 3, true, "EF", ""},
      {"2", 9, -1, 0, 0, 1, true, "", ""},
      {"72 73 74 2", 3, -1, 3, 2, 3, false, "EFG", ""},
      {"72 73 74 2", 9, 1, 2, 1, 2, false, "EF", ""},
      // a character of two bytes comes when it is whole, and one that never is at the end
      {"198 172 72 2", 9, -1, 3, 3, 4, true,
       "\xC3\xA9"
       "E",
       ""},
      {"72 198 2", 9, -1, 2, 2, 3, true, "E", "\xEF\xBF\xBD"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    listener l = {.closes = cases[i].closes, .fails = -1, .fails_logits = -1};
    lmmc_generation g;
    CHECK(answer(cases[i].likeliest, cases[i].max_tokens, &l, &g, &e), "case %zu: %s", i, e.message);
    CHECK(l.tokens == cases[i].tokens && l.rows == cases[i].rows && l.ends == 1, "case %zu: %d tokens, %d rows, %d ends", i, l.tokens,
          l.rows, l.ends);
    CHECK(g.tokens == cases[i].tokens && g.steps == cases[i].steps && g.stopped == cases[i].stopped, "case %zu: %d tokens, %d steps", i,
          (int)g.tokens, (int)g.steps);
    CHECK(strcmp(l.text, cases[i].text) == 0 && strcmp(l.rest, cases[i].rest) == 0, "case %zu: '%s', '%s'", i, l.text, l.rest);
    CHECK(g.first_token > 0 && g.seconds >= 0, "case %zu", i);
  }
  listener l = {.closes = -1, .fails = 1, .fails_logits = -1};
  lmmc_generation g;
  CHECK(!answer("72 73 74 2", 9, &l, &g, &e) && strcmp(e.message, "the line is cut") == 0 && l.tokens == 2 && l.ends == 0, "%d, '%s'",
        l.tokens, e.message);
  l = (listener){.closes = -1, .fails = -1, .fails_logits = 2};
  CHECK(!answer("72 73 74 2", 9, &l, &g, &e) && strcmp(e.message, "no room for logits") == 0 && l.tokens == 2, "%d, '%s'", l.tokens,
        e.message);
  // A stop text, also over several tokens, is not told, nor what stands behind it; its start is held back, and told where it goes on
  // otherwise or the answer ends.
  static const struct {
    const char *stops[3], *likeliest, *text, *rest;
    int tokens;
    bool stopped;
  } stopping[] = {
      {{"G"}, "72 73 74 75 2", "EF", "", 3, true},          {{"GH", "H"}, "72 73 74 75 2", "EF", "", 4, true},
      {{"FGX"}, "72 73 74 75 2", "EFGH", "", 4, true},      {{"GHX"}, "72 73 74 75 2", "EF", "GH", 4, true},
      {{"EEF"}, "72 72 72 73 75 2", "E", "", 4, true},      {{"X", "E"}, "72 73 2", "", "", 1, true},
      {{"\xC3\xA9"}, "72 198 172 73 2", "E", "", 3, true},  {{"FG"}, "72 73 74 440", "E", "", 3, true},
      {{"FGHI"}, "72 73 74 75 75 2", "EFGHH", "", 5, true},
  };
  for (size_t i = 0; i < sizeof stopping / sizeof *stopping; i++) {
    memcpy(stops, stopping[i].stops, sizeof stops);
    l = (listener){.closes = -1, .fails = -1, .fails_logits = -1};
    CHECK(answer(stopping[i].likeliest, 9, &l, &g, &e), "stop %zu: %s", i, e.message);
    CHECK(strcmp(l.text, stopping[i].text) == 0 && strcmp(l.rest, stopping[i].rest) == 0 && l.ends == 1, "stop %zu: '%s', '%s'", i, l.text,
          l.rest);
    CHECK(l.tokens == stopping[i].tokens && g.stopped == stopping[i].stopped, "stop %zu: %d tokens", i, l.tokens);
  }
  memset(stops, 0, sizeof stops);
  // A full context: the token after its last position is told, and not decoded.
  lmmc_model small = lmmc_program;
  small.context = 4;
  session.model = session.slots.model = &small;
  l = (listener){.closes = -1, .fails = -1, .fails_logits = -1};
  CHECK(answer("72 73 74 75 76 2", 9, &l, &g, &e) && g.tokens == 3 && g.steps == 2 && !g.stopped, "%d tokens", (int)g.tokens);
  lmmc_session_close(&session);
  free(memory.arena);
  free(blob);
  return check_report();
}
