// Requests over the slots of the toy model of cli_fake_model.c, as an engine answers them, against each alone in a program of its own.
//   engine_test BLOB      of a tokenizer whose byte pieces are ids 3 to 258
#include "engine/engine.h"

#include <stdlib.h>
#include <string.h>

#include "../app/cli_fake_model.h"
#include "../app/cli_json.h"
#include "../check.h"
#include "contract/offsets.h"
#include "engine/structure.h"
#include "program/levels.h"

enum { REQUESTS = 2000, FEW_REQUESTS = 600, PICTURES = 6, MOST_TOKENS = 40, PICTURE_BYTES = 3 * FAKE_SIZE * FAKE_SIZE };

static lmmc_tokenizer tokenizer;
static lmmc_session session, alone;
static lmmc_engine engine;
static uint8_t pictures[PICTURES][PICTURE_BYTES];

// What some answers must be, without the bytes whose tokens end them here; what is kept of it for the engine, and for each alone.
static const struct {
  lmmc_notation notation;
  const char *text;
} notations[] = {
    {LMMC_NOTATION_REGEX, "[a-h]{2,20}|\\d+[xyz]"},
    {LMMC_NOTATION_CHOICES, "red,green,blue,a long answer of several words"},
    {LMMC_NOTATION_GBNF, "root ::= \"x\" root? \"y\" | [a-d]+ \"z\""},
    {LMMC_NOTATION_SCHEMA, "{\"enum\": [true, false, null, []]}"},
};
enum { NOTATIONS = sizeof notations / sizeof *notations };
static lmmc_vocabulary vocabulary;
static lmmc_structures structures, structures_alone;

// Texts that some answers end before, one of a byte and one of two, which may stand in two tokens.
static const lmmc_stop stops[] = {{"k", 1}, {"\xC3\xA9", 2}, {"a long one", 10}};

static uint64_t seed = 1;

static int64_t draw(int64_t below) {
  seed = fake_mix(seed, 7);
  return (int64_t)((seed >> 33) % (uint64_t)below);
}

// ---- requests

// What an answer was told.
typedef struct {
  int32_t ids[MOST_TOKENS];
  int count, rows, ends, closes;  // closes: at this token; -1: never
} listener;

typedef struct {
  lmmc_request request;
  listener heard;
  lmmc_prompt asked;  // as it was before anything was trimmed
  lmmc_sampling sampling;
  int notation;  // of those; -1: it may be anything
  int stop_count;
  lmmc_structure *structure;
  lmmc_structured structured;
  bool is_over;
} conversation;

static bool take_logits(void *context, const float *logits, lmmc_error *e) {
  (void)logits, (void)e;
  ((listener *)context)->rows++;
  return true;
}

static lmmc_write_result take_token(void *context, int32_t id, const char *text, size_t bytes, lmmc_error *e) {
  (void)text, (void)bytes, (void)e;
  listener *l = context;
  l->ids[l->count] = id;
  return l->count++ == l->closes ? LMMC_CLOSED : LMMC_WRITTEN;
}

static bool take_end(void *context, const char *text, size_t bytes, lmmc_error *e) {
  (void)text, (void)bytes, (void)e;
  ((listener *)context)->ends++;
  return true;
}

static void take_over(lmmc_request *r) { ((conversation *)r)->is_over = true; }

// Makes the answer what a structure says. The same one is compiled once, and seldom kept.
static void restrict_answer(const conversation *c, lmmc_structures *all, lmmc_sampler *sampler, lmmc_structure **structure,
                            lmmc_structured *structured) {
  lmmc_error e;
  const char *text = notations[c->notation].text;
  *structure = lmmc_structure_take(all, notations[c->notation].notation, text, strlen(text), &e);
  if (!*structure || !lmmc_sampler_restrict(sampler, &e) || !lmmc_structured_open(structured, all, *structure, &e))
    fprintf(stderr, "%s\n", e.message), abort();
}

static void append(lmmc_prompt *p, int32_t token) {
  lmmc_error e;
  if (!lmmc_ids_append(&p->tokens, token, &e)) abort();
}

static void copy(lmmc_prompt *to, const lmmc_prompt *from) {
  *to = *from;
  to->tokens = to->question = (lmmc_ids){0};
  for (size_t i = 0; i < from->tokens.count; i++) append(to, from->tokens.values[i]);
  lmmc_error e;
  for (size_t i = 0; i < from->question.count; i++)
    if (!lmmc_ids_append(&to->question, from->question.values[i], &e)) abort();
}

static void append_image(lmmc_prompt *p) {
  for (int32_t i = 0; i < FAKE_VISION_TOKENS; i++) append(p, -1 - (p->images * FAKE_VISION_TOKENS + i));
  p->images++;
}

// Begins a request with the pictures `shown`, and a prompt that is taken over.
static void open_request(conversation *c, lmmc_prompt prompt, const int *shown) {
  lmmc_error e;
  *c = (conversation){.asked = prompt, .sampling = LMMC_GREEDY, .notation = -1};
  c->sampling.seed = (uint64_t)draw(1000);
  if (draw(2)) c->sampling.temperature = 0.8;
  if (draw(3) == 0) c->sampling.repeat_penalty = 1.5, c->sampling.frequency_penalty = 0.5;
  // Few tokens that come again and again, as drafts want them.
  static const lmmc_logit_bias few[] = {{300, 1e3F}, {301, 1e3F}, {302, 1e3F}};
  if (draw(3) == 0) c->sampling.biases = few, c->sampling.bias_count = 3, c->sampling.temperature = draw(2) ? 20 : 0;
  c->heard.closes = draw(8) ? -1 : (int)draw(6);
  copy(&c->request.prompt, &prompt);
  if (!lmmc_pictures_open(&c->request.pictures, session.model, prompt.images, &e)) abort();
  for (int i = 0; i < prompt.images; i++) {
    memcpy(c->request.pictures.pixels + i * PICTURE_BYTES, pictures[shown[i]], PICTURE_BYTES);
    // One picture may come twice.
    const bool is_twin = i > 0 && shown[i] == shown[i - 1];
    for (int k = 0, bar = (int)draw(2); k < 4; k++) c->request.pictures.bars[i][k] = is_twin ? c->request.pictures.bars[i - 1][k] : bar;
  }
  if (!lmmc_sampler_open(&c->request.sampler, FAKE_VOCABULARY, &c->sampling, &e)) abort();
  c->request.max_tokens = 1 + draw(MOST_TOKENS);
  c->request.sink = (lmmc_sink){&c->heard, take_logits, take_token, take_end};
  c->request.ended = take_over;
}

static void restrict_request(conversation *c, int notation) {
  c->notation = notation;
  restrict_answer(c, &structures, &c->request.sampler, &c->structure, &c->structured);
  c->request.constraint = lmmc_structured_constraint(&c->structured);
}

static void close_request(conversation *c) {
  lmmc_prompt_free(&c->request.prompt);
  lmmc_prompt_free(&c->asked);
  lmmc_pictures_close(&c->request.pictures);
  lmmc_sampler_close(&c->request.sampler);
  lmmc_structured_close(&c->structured);
  lmmc_structure_release(&structures, c->structure);
}

// The same alone, with nothing kept of anything before; whether it gives the same, or the beginning of it where it was cancelled.
static void check_alone(conversation *c, int number) {
  lmmc_request *r = &c->request;
  listener heard = {.closes = c->heard.closes};
  lmmc_sampler sampler;
  lmmc_error e = {0};
  lmmc_prompt prompt;
  double seconds = 0;
  copy(&prompt, &c->asked);
  for (int i = 0; i < prompt.images; i++)
    lmmc_prompt_trim(&prompt, alone.model, i, lmmc_encode_picture(&alone, &r->pictures, i, &prompt.question, &seconds, &seconds).count);
  lmmc_slot_clear(&alone.slots, 0);
  lmmc_prefill(&alone, 0, &prompt.tokens, NULL);
  const lmmc_sink sink = {&heard, take_logits, take_token, take_end};
  lmmc_answer answer = {.model = alone.model,
                        .tokenizer = &tokenizer,
                        .sampler = &sampler,
                        .sink = &sink,
                        .max_tokens = r->max_tokens,
                        .stops = stops,
                        .stop_count = c->stop_count};
  bool done = lmmc_sampler_open(&sampler, FAKE_VOCABULARY, &c->sampling, &e);
  lmmc_sampler_read(&sampler, prompt.tokens.values, (int64_t)prompt.tokens.count);
  lmmc_structure *structure = NULL;
  lmmc_structured structured = {0};
  const lmmc_constraint constraint = lmmc_structured_constraint(&structured);
  if (c->notation >= 0) {
    restrict_answer(c, &structures_alone, &sampler, &structure, &structured);
    answer.constraint = &constraint;
  }
  done = done && lmmc_generate(&alone, 0, &answer, &e);
  CHECK(done, "%d: %s", number, e.message);
  const lmmc_generation made = answer.made;
  lmmc_answer_free(&answer);
  const bool is_cut = r->ending == LMMC_ENDED_BY_CANCEL;
  CHECK(is_cut ? c->heard.count <= heard.count : c->heard.count == heard.count, "%d: %d tokens, not %d", number, c->heard.count,
        heard.count);
  CHECK(memcmp(c->heard.ids, heard.ids, (size_t)c->heard.count * sizeof *heard.ids) == 0, "%d: other tokens", number);
  if (!is_cut) {
    const lmmc_ending ending = made.stopped ? LMMC_ENDED_BY_MODEL : made.closed ? LMMC_ENDED_BY_SINK : LMMC_ENDED_BY_LIMIT;
    CHECK(r->ending == ending && c->heard.rows == heard.rows && c->heard.ends == 1, "%d: ending %d, not %d", number, r->ending, ending);
    CHECK(r->answer.made.steps == made.steps, "%d: %d steps", number, (int)r->answer.made.steps);
  }
  lmmc_structured_close(&structured);
  lmmc_structure_release(&structures_alone, structure);
  lmmc_sampler_close(&sampler);
  lmmc_prompt_free(&prompt);
}

// ---- a soak

// One that begins as another did, goes on behind its answer, or is new. Compression tokens stand behind the image where there are any.
static void random_request(conversation *all, int number, int (*shown)[FAKE_MAX_IMAGES]) {
  const lmmc_model *m = session.model;
  const int most_images = m->compression_count > 0 || m->whole_prompts ? 1 : FAKE_MAX_IMAGES;
  lmmc_prompt p = {0};
  const int like = number > 0 ? number - 1 - (int)draw(number < 8 ? number : 8) : 0;
  const conversation *before = &all[like];
  memcpy(shown[number], shown[like], sizeof *shown);
  switch (number > 0 ? draw(4) : 3) {
    case 0:  // the same
      copy(&p, &before->asked);
      break;
    case 1:  // another turn
      copy(&p, &before->asked);
      // A compression token stands behind an image alone.
      for (int i = 0; before->is_over && i < before->heard.count; i++) append(&p, before->heard.ids[i] == 333 ? 334 : before->heard.ids[i]);
      for (int64_t i = draw(5); i >= 0; i--) append(&p, (int32_t)draw(FAKE_VOCABULARY) % 333);
      break;
    case 2:  // another end, or another image
      copy(&p, &before->asked);
      if (p.images > 0 && draw(2)) shown[number][draw(p.images)] = (int)draw(PICTURES);
      p.tokens.values[p.tokens.count - 1] = (int32_t)draw(333);
      break;
    default:
      if (draw(3) == 0)
        for (int64_t i = 0, count = draw(session.prefix.count + 1); i < count; i++) append(&p, session.prefix.tokens[i]);
      append(&p, 1);
      for (int64_t i = draw(12); i > 0; i--) append(&p, (int32_t)draw(333));
      for (int64_t i = draw(most_images + 1); i > 0; i--) {
        shown[number][p.images] = p.images > 0 && draw(3) == 0 ? shown[number][p.images - 1] : (int)draw(PICTURES);
        append_image(&p);
        for (int k = 0; k < m->compression_count; k++) append(&p, m->compression_token);
        for (int64_t k = 1 + draw(9); k > 0; k--) append(&p, (int32_t)draw(333));
      }
  }
  if (m->question_bound > 0) {
    lmmc_error e;
    p.question.count = 0;
    if (!lmmc_ids_append(&p.question, (int32_t)draw(3), &e)) abort();
  }
  if (p.tokens.count > (m->whole_prompts ? (size_t)m->chunk : 60)) {  // it would not fit
    lmmc_prompt_free(&p);
    p = (lmmc_prompt){0};
    for (int64_t i = 0; i < 3; i++) append(&p, (int32_t)draw(333));
  }
  open_request(&all[number], p, shown[number]);
  all[number].request.stops = stops;
  all[number].request.stop_count = all[number].stop_count = draw(3) ? 0 : (int)(sizeof stops / sizeof *stops);
  if (draw(3) == 0) restrict_request(&all[number], (int)draw(NOTATIONS));
}

// ---- what keeps rows of images beyond a run

enum { STORED = 64 };
static struct {
  lmmc_hash_value key;
  float values[FAKE_VISION_TOKENS * FAKE_HIDDEN];
  int32_t count;
} stored[STORED];
static int stored_count;

static int32_t find_stored(void *context, lmmc_hash_value key, float *values, int32_t *protects, int32_t most) {
  (void)context, (void)protects, (void)most;
  for (int i = 0; i < stored_count; i++) {
    if (!lmmc_hashes_equal(stored[i].key, key)) continue;
    memcpy(values, stored[i].values, (size_t)stored[i].count * FAKE_HIDDEN * sizeof *values);
    return stored[i].count;
  }
  return -1;
}

static void keep_stored(void *context, lmmc_hash_value key, lmmc_image_rows rows) {
  (void)context;
  if (stored_count == STORED) return;
  stored[stored_count].key = key, stored[stored_count].count = rows.count;
  memcpy(stored[stored_count++].values, rows.values, (size_t)rows.count * FAKE_HIDDEN * sizeof *rows.values);
}

static const lmmc_image_store store = {NULL, find_stored, keep_stored};

// ---- many at once

// Every second one guesses ahead. `keeps`: what images have become is kept elsewhere too.
static void soak(const char *name, int count, int32_t parallel, uint64_t image_bytes, bool keeps) {
  static int soaks;
  static conversation all[REQUESTS];
  static int shown[REQUESTS][FAKE_MAX_IMAGES];
  lmmc_error e;
  int64_t tokens = 0, shared = 0, images = 0, encoded = 0;
  int cut = 0, calls = 0, steps = 0, met = 0;
  if (!lmmc_engine_open(&engine, &session, &tokenizer, parallel, image_bytes, (uint64_t[]){1, 2}, &e)) abort();
  engine.drafts = soaks++ % 2 == 0;
  if (keeps) engine.store = &store, stored_count = 0;
  fake_calls = (fake_call_counts){0};
  for (int sent = 0, busy = 1; sent < count || busy;) {
    for (int64_t more = draw(8) ? 0 : draw(4); more > 0 && sent < count; more--) {
      random_request(all, sent, shown);
      lmmc_engine_submit(&engine, &all[sent++].request);
    }
    const int64_t one = sent > 0 && draw(12) == 0 ? draw(sent) : -1;
    if (one >= 0 && !all[one].is_over) lmmc_engine_cancel(&engine, &all[one].request);
    busy = lmmc_engine_turn(&engine);
    calls++;
  }
  steps = fake_calls.steps + fake_calls.decodes;
  for (int i = 0; i < count; i++) {
    const lmmc_request *r = &all[i].request;
    CHECK(all[i].is_over, "%s: request %d is not over", name, i);
    tokens += (int64_t)r->prompt.tokens.count, shared += r->shared, images += r->prompt.images, encoded += r->encoded;
    cut += r->ending == LMMC_ENDED_BY_CANCEL;
    met += all[i].notation >= 0 && r->ending == LMMC_ENDED_BY_MODEL;
  }
  CHECK(met > count / 20, "%s: %d answers under a grammar were ended", name, met);
  // One call a turn, and one between blocks of the tower, but where a whole prompt does not fit beside the answers.
  CHECK(session.model->whole_prompts || steps <= calls + fake_calls.pictures * FAKE_YIELDS, "%s: %d calls in %d turns", name, steps, calls);
  CHECK(shared > (session.model->whole_prompts ? 0 : tokens / 20) && cut > 0 && cut < count / 2, "%s: %d shared, %d cut", name, (int)shared,
        cut);
  // Each picture goes through the tower once where all are kept, with each question that it is asked and either bars.
  const int64_t kinds = PICTURES * (session.model->question_bound > 0 ? 3 : 1) * (session.model->reads_bars ? 2 : 1);
  CHECK(keeps || image_bytes > 1 << 16 ? encoded <= kinds : encoded > kinds, "%s: %d encoded", name, (int)encoded);
  for (int i = 0; i < count; i++) {
    check_alone(&all[i], i);
    close_request(&all[i]);
  }
  memset(all, 0, (size_t)count * sizeof *all);
  lmmc_engine_close(&engine);
  for (int32_t s = 0; s < FAKE_SEQUENCES; s++) lmmc_slot_release(&session.slots, s);
}

// ---- one thing at a time

static lmmc_prompt prompt_of(int count, int32_t first) {
  lmmc_prompt p = {0};
  for (int i = 0; i < count; i++) append(&p, first + i);
  return p;
}

// A long prompt is read in chunks beside an answer, which grows by a token a turn.
static void turns(void) {
  static conversation short_one, long_one;
  lmmc_error e;
  if (!lmmc_engine_open(&engine, &session, &tokenizer, 2, 0, (uint64_t[]){1, 2}, &e)) abort();
  open_request(&short_one, prompt_of(3, 10), NULL);
  open_request(&long_one, prompt_of(6 * FAKE_CHUNK, 50), NULL);
  short_one.request.max_tokens = long_one.request.max_tokens = MOST_TOKENS;
  short_one.heard.closes = long_one.heard.closes = -1;
  lmmc_engine_submit(&engine, &short_one.request);
  lmmc_engine_turn(&engine);
  lmmc_engine_submit(&engine, &long_one.request);
  int before = short_one.heard.count, turns = 0;
  for (fake_calls = (fake_call_counts){0}; long_one.heard.count == 0 && !short_one.is_over; turns++) {
    lmmc_engine_turn(&engine);
    CHECK(short_one.is_over || short_one.heard.count == before + turns + 1, "%d tokens behind %d turns", short_one.heard.count, turns);
  }
  CHECK(turns == 7 && fake_calls.steps == 7, "%d turns, %d calls", turns, fake_calls.steps);
  while (lmmc_engine_turn(&engine)) continue;
  // Nothing is left to do.
  fake_calls = (fake_call_counts){0};
  CHECK(!lmmc_engine_turn(&engine) && fake_calls.steps + fake_calls.decodes == 0, "%d calls", fake_calls.steps);
  check_alone(&short_one, -1);
  check_alone(&long_one, -2);
  close_request(&short_one);
  close_request(&long_one);

  // Answers go on while a picture goes through the tower.
  static conversation beside, picture;
  open_request(&beside, prompt_of(3, 20), NULL);
  lmmc_prompt shows = prompt_of(2, 40);
  append_image(&shows), append(&shows, 9);
  open_request(&picture, shows, (int[]){0});
  beside.request.max_tokens = MOST_TOKENS;
  beside.heard.closes = picture.heard.closes = -1;
  lmmc_engine_submit(&engine, &beside.request);
  lmmc_engine_turn(&engine);
  lmmc_engine_submit(&engine, &picture.request);
  before = beside.heard.count;
  lmmc_engine_turn(&engine);
  CHECK(beside.is_over || beside.heard.count == before + FAKE_YIELDS + 1, "%d tokens, %d before", beside.heard.count, before);
  CHECK(picture.request.encoded == 1, "%d encoded", picture.request.encoded);
  while (lmmc_engine_turn(&engine)) continue;
  check_alone(&beside, -5);
  check_alone(&picture, -6);
  close_request(&beside);
  close_request(&picture);

  // A next turn feeds what is new, and the slot is the one that has the rest; a third request that waits is cancelled.
  static conversation next, waiting[2];
  lmmc_prompt p = prompt_of(12, 300 - 12);
  open_request(&next, p, NULL);
  next.heard.closes = -1;
  lmmc_engine_submit(&engine, &next.request);
  while (lmmc_engine_turn(&engine)) continue;
  static conversation again;
  lmmc_prompt longer;
  copy(&longer, &next.asked);
  for (int i = 0; i < next.heard.count; i++) append(&longer, next.heard.ids[i]);
  append(&longer, 7), append(&longer, 8);
  open_request(&again, longer, NULL);
  for (int i = 0; i < 2; i++) open_request(&waiting[i], prompt_of(4, 30), NULL);
  fake_calls = (fake_call_counts){0};
  lmmc_engine_submit(&engine, &again.request);
  lmmc_engine_submit(&engine, &waiting[0].request);
  lmmc_engine_submit(&engine, &waiting[1].request);
  lmmc_engine_cancel(&engine, &waiting[0].request);
  lmmc_engine_turn(&engine);
  // The last token of an answer was told and not decoded, unless the model ended it.
  const int fresh = 2 + (next.request.ending != LMMC_ENDED_BY_MODEL);
  while (lmmc_engine_turn(&engine)) continue;
  CHECK(again.request.shared == (int64_t)longer.tokens.count - fresh, "%d of %d shared, %d fresh", (int)again.request.shared,
        (int)longer.tokens.count, fresh);
  CHECK(waiting[0].request.ending == LMMC_ENDED_BY_CANCEL && waiting[0].heard.rows == 0, "ending %d", waiting[0].request.ending);
  CHECK(waiting[1].request.ending != LMMC_ENDED_BY_CANCEL, "ending %d", waiting[1].request.ending);
  check_alone(&again, -3);
  check_alone(&waiting[1], -4);
  close_request(&next);
  close_request(&again);
  for (int i = 0; i < 2; i++) close_request(&waiting[i]);
  lmmc_engine_close(&engine);
  for (int32_t s = 0; s < FAKE_SEQUENCES; s++) lmmc_slot_release(&session.slots, s);
}

// What the program knows of the first tokens of prompts is copied, a part of it too, and what another slot holds where that is more.
static void folded(void) {
  enum { KNOWN = 12 };
  static int32_t tokens[KNOWN];
  const lmmc_model *m = session.model;
  size_t bytes = 0, at = 0;
  for (int32_t i = 0; i < m->cache_count; i++) bytes += KNOWN * m->caches[i].row_bytes;
  uint8_t *rows = calloc(1, bytes);
  if (!rows) abort();
  for (int i = 0; i < KNOWN; i++) tokens[i] = 100 + 3 * i;
  lmmc_slot_clear(&alone.slots, 0);
  lmmc_step(&alone, &(lmmc_feed){0, tokens, KNOWN, LMMC_WANTS_NONE}, 1, "prefill");
  for (int32_t i = 0; i < m->cache_count; i++) {
    memcpy(rows + at, lmmc_arena(alone.memory, m->caches[i].offset), KNOWN * m->caches[i].row_bytes);
    at += KNOWN * m->caches[i].row_bytes;
  }
  session.prefix = (lmmc_prefix){tokens, KNOWN, rows};

  static const struct { int first, others, known; } cases[] = {{KNOWN, 5, KNOWN}, {9, 2, 9}, {KNOWN, 0, KNOWN - 1}, {7, 4, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    static conversation one;
    lmmc_error e;
    lmmc_prompt p = {0};
    if (!lmmc_engine_open(&engine, &session, &tokenizer, 1, 0, (uint64_t[]){1, 2}, &e)) abort();
    for (int k = 0; k < cases[i].first; k++) append(&p, tokens[k]);
    for (int k = 0; k < cases[i].others; k++) append(&p, 20 + k);
    open_request(&one, p, NULL);
    fake_calls = (fake_call_counts){0};
    lmmc_engine_submit(&engine, &one.request);
    while (one.heard.rows == 0) lmmc_engine_turn(&engine);
    CHECK(one.request.shared == cases[i].known && fake_calls.rows[0] == cases[i].first + cases[i].others - cases[i].known,
          "%zu: %d shared, %d fed", i, (int)one.request.shared, fake_calls.rows[0]);
    while (lmmc_engine_turn(&engine)) continue;
    check_alone(&one, -10 - (int)i);
    close_request(&one);
    lmmc_engine_close(&engine);
    for (int32_t s = 0; s < FAKE_SEQUENCES; s++) lmmc_slot_release(&session.slots, s);
  }
  soak("a known prefix", FEW_REQUESTS, FAKE_SEQUENCES, UINT64_C(1) << 20, false);
  session.prefix = (lmmc_prefix){0};
  free(rows);
}

// Those that were used longest ago make room, also where they are many and small.
static void many_images(void) {
  enum { KEPT = LMMC_MOST_KEPT_IMAGES + 10 };
  lmmc_image_cache images;
  lmmc_error e;
  if (!lmmc_image_cache_open(&images, UINT64_C(1) << 30, 1, &e)) abort();
  for (int i = 0; i < KEPT; i++) {
    const float row = (float)i;
    lmmc_image_cache_keep(&images, (lmmc_hash_value){{(uint64_t)i, 1}}, (lmmc_image_rows){&row, NULL, 1});
    lmmc_image_cache_find(&images, (lmmc_hash_value){{0, 1}});
  }
  CHECK(images.count == LMMC_MOST_KEPT_IMAGES, "%d", (int)images.count);
  for (int i = 0; i < KEPT; i++) {
    const lmmc_image_rows found = lmmc_image_cache_find(&images, (lmmc_hash_value){{(uint64_t)i, 1}});
    const bool stays = i == 0 || i > 10;
    CHECK((found.values != NULL) == stays && (!stays || *found.values == (float)i), "image %d", i);
  }
  lmmc_image_cache_close(&images);
}

static void set_model(const lmmc_model *m) { session.model = session.slots.model = alone.model = alone.slots.model = m; }

int main(int argc, char **argv) {
  if (argc != 2) return fprintf(stderr, "usage: engine_test BLOB\n"), 2;
  size_t size = 0;
  char *blob = read_whole(argv[1], &size);
  lmmc_error e = {0};
  lmmc_memory memory = {.arena = calloc(1, lmmc_program.arena_bytes)}, other = {.arena = calloc(1, lmmc_program.arena_bytes)};
  // Some answers are ended by the model.
  static lmmc_model model;
  model = lmmc_program;
  for (model.eos_count = 0; model.eos_count < LMMC_MAX_EOS; model.eos_count++) model.eos[model.eos_count] = 2 + 5 * model.eos_count;
  if (!blob || !memory.arena || !other.arena || !lmmc_session_open(&session, &model, &memory, &e) ||
      !lmmc_session_open(&alone, &model, &other, &e) || !lmmc_levels_start(&e) ||
      !lmmc_tokenizer_open(&tokenizer, (uint8_t *)blob, size, &e))
    return fprintf(stderr, "engine_test: %s\n", e.message), 2;
  for (int i = 0; i < PICTURES; i++)
    for (int k = 0; k < PICTURE_BYTES; k++) pictures[i][k] = (uint8_t)draw(256);
  lmmc_slot_take(&alone.slots);
  lmmc_text tree = {0};
  const lmmc_end_tokens ends = {model.eos, LMMC_MAX_EOS};
  if (!lmmc_vocabulary_of_tokenizer(&tokenizer, FAKE_VOCABULARY, &tree, &e) ||
      !lmmc_vocabulary_open(&vocabulary, tree.bytes, tree.count, &e) ||
      !lmmc_structures_open(&structures, &vocabulary, ends, FAKE_CONTEXT, &e) ||
      !lmmc_structures_open(&structures_alone, &vocabulary, ends, FAKE_CONTEXT, &e))
    return fprintf(stderr, "engine_test: %s\n", e.message), 2;
  many_images();
  set_model(&model);
  if (!model.whole_prompts) turns(), folded();
  const uint64_t few = 2 * FAKE_VISION_TOKENS * FAKE_HIDDEN * sizeof(float);
  for (int32_t parallel = 1; parallel <= FAKE_SEQUENCES; parallel *= 2)
    soak("images", parallel == FAKE_SEQUENCES ? REQUESTS : FEW_REQUESTS, parallel, UINT64_C(1) << 20, false);
  soak("images kept elsewhere", FEW_REQUESTS, FAKE_SEQUENCES, 0, true);
  soak("few images kept", FEW_REQUESTS, FAKE_SEQUENCES, few, false);
  soak("no images kept", FEW_REQUESTS, FAKE_SEQUENCES, 0, false);
  if (model.whole_prompts) {
    // With a reducer before the decoder a prompt may have several images, which become as many rows as it counts.
    lmmc_model counted = model;
    counted.whole_prompts = fake_drops_rows = false;
    set_model(&counted);
    soak("counted images", FEW_REQUESTS, FAKE_SEQUENCES, UINT64_C(1) << 20, false);
    soak("counted images, few kept", FEW_REQUESTS, FAKE_SEQUENCES, few, false);
    soak("counted images, none kept", FEW_REQUESTS, FAKE_SEQUENCES, 0, false);
    // A block ahead of the decoder, in which text leaves no rows.
    fake_is_ahead = true;
    set_model(&model);
    soak("a block ahead", FEW_REQUESTS, FAKE_SEQUENCES, UINT64_C(1) << 20, false);
    fake_is_ahead = false;
    // One that computes its prompt again for each token, with room for what one call takes.
    lmmc_model anew = model;
    anew.recomputes = true, anew.context = (int32_t)model.chunk;
    session.slots.fed = calloc((size_t)anew.sequences * (size_t)anew.context, sizeof *session.slots.fed);
    alone.slots.fed = calloc((size_t)anew.sequences * (size_t)anew.context, sizeof *alone.slots.fed);
    if (!session.slots.fed || !alone.slots.fed) abort();
    set_model(&anew);
    soak("prompts computed again", FEW_REQUESTS, FAKE_SEQUENCES, UINT64_C(1) << 20, false);
    free(session.slots.fed), free(alone.slots.fed);
    session.slots.fed = alone.slots.fed = NULL;
    fake_drops_rows = true;
    set_model(&model);
  } else {
    lmmc_model compressed = model;
    compressed.compression_token = 333, compressed.compression_count = 2;
    set_model(&compressed);
    soak("compression tokens", FEW_REQUESTS, FAKE_SEQUENCES, UINT64_C(1) << 20, false);
    set_model(&model);
  }
  lmmc_structures_close(&structures);
  lmmc_structures_close(&structures_alone);
  lmmc_text_free(&tree);
  lmmc_session_close(&session);
  lmmc_session_close(&alone);
  free(memory.arena);
  free(other.arena);
  free(blob);
  return check_report();
}
