#include "engine.h"

#include <stdlib.h>
#include <string.h>

#include "contract/offsets.h"
#include "system/threads.h"

// A prefix that is shorter is computed again: it takes no longer than to look for a slot to copy it to.
enum { LEAST_SHARED = 8 };

static void step_others(void *context);

bool lmmc_engine_open(lmmc_engine *g, lmmc_session *session, const lmmc_tokenizer *tokenizer, int32_t parallel, uint64_t image_bytes,
                      const uint64_t key[2], lmmc_error *e) {
  const lmmc_model *m = session->model;
  const size_t slots = (size_t)m->sequences;
  *g = (lmmc_engine){.session = session,
                     .tokenizer = tokenizer,
                     // What computes its prompt anew for each token reads its image again.
                     .parallel = m->recomputes             ? 1
                                 : parallel < m->sequences ? parallel
                                                           : m->sequences,
                     .key = {key[0], key[1]},
                     .answering = calloc(slots, sizeof *g->answering),
                     .feeds = calloc(slots, sizeof *g->feeds),
                     .asked = calloc(slots, sizeof *g->asked)};
  session->yield = step_others;
  session->yield_context = g;
  return lmmc_image_cache_open(&g->images, image_bytes, m->hidden, e) && lmmc_residents_open(&g->residents, m, &session->slots, e) &&
         ((g->answering && g->feeds && g->asked) || lmmc_fail(e, 1, "out of memory for %zu sequences", slots));
}

void lmmc_engine_close(lmmc_engine *g) {
  if (g->session) g->session->yield = NULL;
  lmmc_image_cache_close(&g->images);
  lmmc_residents_close(&g->residents);
  free(g->answering);
  free(g->feeds);
  free(g->asked);
}

// ---- requests come and end

void lmmc_engine_submit(lmmc_engine *g, lmmc_request *r) {
  memset(&r->own, 0, sizeof r->own);
  r->own.slot = -1;
  r->error = (lmmc_error){0};
  r->shared = r->encoded = 0;
  r->vision = r->project = r->prefill = r->begun = 0;
  r->submitted = lmmc_clock();
  r->answer = (lmmc_answer){.model = g->session->model,
                            .tokenizer = g->tokenizer,
                            .sampler = &r->sampler,
                            .sink = &r->sink,
                            .max_tokens = r->max_tokens,
                            .stops = r->stops,
                            .stop_count = r->stop_count,
                            .constraint = r->constraint.allowed ? &r->constraint : NULL};
  *(g->last ? &g->last->own.next : &g->first) = r;
  g->last = r;
}

void lmmc_engine_cancel(lmmc_engine *g, lmmc_request *r) {
  (void)g;
  r->own.cancelled = true;
}

static void end(lmmc_engine *g, lmmc_request *r, lmmc_ending ending) {
  if (r == g->reading) g->reading = NULL;
  if (r->own.slot >= 0 && g->answering[r->own.slot] == r) g->answering[r->own.slot] = NULL;
  r->ending = ending;
  lmmc_answer_free(&r->answer);
  free(r->own.images);
  r->own.images = NULL;
  r->ended(r);
}

// Takes those that are cancelled out of the queue, as a list.
static lmmc_request *cancelled(lmmc_engine *g) {
  lmmc_request *taken = NULL, **to = &taken, **at = &g->first, *r;
  g->last = NULL;
  while ((r = *at)) {
    if (r->own.cancelled) {
      *at = r->own.next;
      r->own.next = NULL;
      *to = r;
      to = &r->own.next;
    } else {
      g->last = r;
      at = &r->own.next;
    }
  }
  return taken;
}

static void end_cancelled(lmmc_engine *g) {
  for (lmmc_request *r = cancelled(g), *next; r; r = next) {
    next = r->own.next;
    end(g, r, LMMC_ENDED_BY_CANCEL);
  }
  if (g->reading && g->reading->own.cancelled) end(g, g->reading, LMMC_ENDED_BY_CANCEL);
  for (int32_t s = 0; s < g->session->model->sequences; s++)
    if (g->answering[s] && g->answering[s]->own.cancelled) end(g, g->answering[s], LMMC_ENDED_BY_CANCEL);
}

// ---- images

lmmc_hash_value lmmc_picture_key(const lmmc_model *m, const uint64_t key[2], const lmmc_pictures *pictures, int32_t image,
                                 const lmmc_ids *question) {
  lmmc_keyed_hash h;
  lmmc_hash_begin(&h, key);
  lmmc_hash_add(&h, pictures->pixels + pictures->bytes * (size_t)image, pictures->bytes);
  if (m->reads_bars) lmmc_hash_add(&h, pictures->bars[image], sizeof *pictures->bars);
  if (m->question_bound > 0) lmmc_hash_add(&h, question->values, question->count * sizeof *question->values);
  return lmmc_hash_end(&h);
}

// Where step() reads the rows of an image, and of a program that protects rows which.
typedef struct {
  float *values;
  int32_t *protects;
} rows_place;

static rows_place place_of(const lmmc_session *s, int32_t image) {
  const lmmc_model *m = s->model;
  const int64_t first = (int64_t)image * m->vision_tokens;
  return (rows_place){(float *)lmmc_arena(s->memory, m->vision_rows) + first * m->hidden,
                      m->protects_rows ? (int32_t *)lmmc_arena(s->memory, m->protected_rows) + first : NULL};
}

int32_t lmmc_place_picture(const lmmc_session *s, const lmmc_image_store *store, lmmc_hash_value key, const lmmc_pictures *pictures,
                           int32_t image, const lmmc_ids *question, double *vision, double *project, bool *is_stored) {
  const rows_place to = place_of(s, image);
  const int32_t found = store ? store->find(store->context, key, to.values, to.protects, s->model->vision_tokens) : -1;
  *is_stored = found >= 0;
  if (*is_stored) return found;
  const int32_t count = lmmc_encode_picture(s, pictures, image, question, vision, project).count;
  if (store) store->keep(store->context, key, (lmmc_image_rows){to.values, to.protects, count});
  return count;
}

static void know_rows(lmmc_engine *g, lmmc_request *r, int32_t image, int32_t rows) {
  r->own.images[image].rows = rows;
  lmmc_prompt_trim(&r->prompt, g->session->model, image, rows);
}

static bool know_images(lmmc_engine *g, lmmc_request *r) {
  const lmmc_model *m = g->session->model;
  const int32_t count = r->prompt.images;
  if (count == 0) return true;
  r->own.images = calloc((size_t)count, sizeof *r->own.images);
  if (!r->own.images) return lmmc_fail(&r->error, 1, "out of memory for %d images", count);
  for (int32_t i = 0; i < count; i++) {
    lmmc_placed_image *image = &r->own.images[i];
    int32_t rows = m->vision_tokens;
    image->key = lmmc_picture_key(m, g->key, &r->pictures, i, &r->prompt.question);
    image->rows = -1;
    if (m->projected_rows) {
      const lmmc_image_rows kept = lmmc_image_cache_find(&g->images, image->key);
      rows = kept.values ? kept.count : lmmc_resident_image_rows(&g->residents, image->key);
    }
    if (rows >= 0) know_rows(g, r, i, rows);
  }
  return true;
}

// The same of an image whose request has a slot.
static void place_rows(lmmc_engine *g, lmmc_request *r, int32_t image, int32_t rows) {
  know_rows(g, r, image, rows);
  g->residents.slot[r->own.slot].images[image].rows = rows;
}

// Puts the rows of the next image where step() reads them. True where the tower ran, false where none is left.
static bool see_image(lmmc_engine *g, lmmc_request *r) {
  const lmmc_model *m = g->session->model;
  const size_t row_bytes = (size_t)m->hidden * sizeof(float);
  for (; r->own.seen < r->prompt.images; r->own.seen++) {
    const int32_t i = r->own.seen, first = i * m->vision_tokens;
    bool is_read = false;
    for (int64_t k = r->own.fed; k < (int64_t)r->prompt.tokens.count && !is_read; k++) {
      const int32_t row = -1 - r->prompt.tokens.values[k];
      is_read = row >= first && row < first + m->vision_tokens;
    }
    if (!is_read) continue;
    const rows_place to = place_of(g->session, i);
    const lmmc_hash_value key = r->own.images[i].key;
    const lmmc_image_rows kept = lmmc_image_cache_find(&g->images, key);
    if (kept.values) {
      memcpy(to.values, kept.values, (size_t)kept.count * row_bytes);
      if (to.protects) memcpy(to.protects, kept.protects, (size_t)kept.count * sizeof *to.protects);
      place_rows(g, r, i, kept.count);
      continue;
    }
    bool is_stored;
    const int32_t count =
        lmmc_place_picture(g->session, g->store, key, &r->pictures, i, &r->prompt.question, &r->vision, &r->project, &is_stored);
    lmmc_image_cache_keep(&g->images, key, (lmmc_image_rows){to.values, to.protects, count});
    place_rows(g, r, i, count);
    if (is_stored) continue;
    r->encoded++;
    r->own.seen++;
    return true;
  }
  return false;
}

// ---- slots

// What looks at a whole prompt wants it in an empty slot.
static bool may_share(const lmmc_engine *g, const lmmc_request *r) { return !g->session->model->whole_prompts || r->prompt.images == 0; }

// A slot for a request: one that was never used, while there are fewer than may be, or the one that was used longest ago; -1 where all are in
// use.
static int32_t free_slot(lmmc_engine *g, int32_t but) {
  int32_t used = 0;
  for (int32_t s = 0; s < g->session->model->sequences; s++) used += g->session->slots.used[s];
  const int32_t fresh = used < g->parallel ? lmmc_slot_take(&g->session->slots) : -1;
  if (fresh >= 0) return fresh;
  int32_t oldest = -1;
  for (int32_t s = 0; s < g->session->model->sequences; s++)
    if (g->session->slots.used[s] && s != but && !g->answering[s] &&
        (oldest < 0 || g->residents.slot[s].last_use < g->residents.slot[oldest].last_use))
      oldest = s;
  return oldest;
}

// Gives a request a slot that holds as much of its prompt as any does, or as the program itself knows, but for its last token, whose logits are wanted.
static void take_slot(lmmc_engine *g, lmmc_request *r) {
  lmmc_residents *residents = &g->residents;
  const lmmc_ids *tokens = &r->prompt.tokens;
  const lmmc_prefix *prefix = &g->session->prefix;
  const int64_t known = may_share(g, r) ? lmmc_prefix_shared(prefix, tokens->values, (int64_t)tokens->count - 1) : 0;
  int32_t from = -1;
  int64_t shared = known < LEAST_SHARED ? LEAST_SHARED - 1 : known;
  for (int32_t s = 0; may_share(g, r) && s < g->session->model->sequences; s++) {
    const int64_t count = lmmc_shared_prefix(residents, s, tokens->values, (int64_t)tokens->count - 1, r->own.images);
    if (count > shared) from = s, shared = count;
  }
  // An answer that is over goes on as a conversation; what has more to give to others is copied where there is room.
  const bool continues = from >= 0 && !g->answering[from] && shared == residents->slot[from].count;
  int32_t slot = continues ? from : free_slot(g, from);
  if (slot < 0) slot = from;  // the only one that nobody uses
  r->own.slot = slot;
  if (from < 0) {
    lmmc_resident_clear(residents, slot);
    if (known > 0) lmmc_prefix_copy(prefix, &g->session->slots, slot, known);
    lmmc_resident_extend(residents, slot, prefix->tokens, known);
    r->own.fed = r->shared = known;
  } else {
    lmmc_resident_copy(residents, slot, from, shared);
    r->own.fed = r->shared = shared;
  }
  lmmc_resident_place(residents, slot, r->own.images, r->prompt.images);
}

// The first that waits is read from now on, where a slot is left for it.
static void begin(lmmc_engine *g) {
  int32_t busy = 0;
  for (int32_t s = 0; s < g->session->model->sequences; s++) busy += g->answering[s] != NULL;
  while (g->first && !g->reading && busy < g->parallel) {
    lmmc_request *r = g->first;
    g->first = r->own.next;
    if (!g->first) g->last = NULL;
    r->own.next = NULL;
    r->begun = lmmc_clock();
    lmmc_sampler_read(&r->sampler, r->prompt.tokens.values, (int64_t)r->prompt.tokens.count);
    g->reading = r;
    if (know_images(g, r))
      take_slot(g, r);
    else
      end(g, r, LMMC_ENDED_BY_FAILURE);
  }
}

// ---- turns

// The end of the part that is read now: compression tokens end one, behind which the slot forgets what stands before them.
static int64_t part_end(const lmmc_engine *g, const lmmc_request *r) {
  const int64_t count = (int64_t)r->prompt.tokens.count;
  const int64_t compressed = lmmc_compressed_part(g->session->model, r->prompt.tokens.values, count, NULL);
  return r->own.fed < compressed ? compressed : count;
}

static bool is_whole(const lmmc_engine *g, const lmmc_request *r) { return g->session->model->whole_prompts && r->prompt.images > 0; }

// The next rows of the prompt, at most `most` where they need not come together.
static lmmc_feed next_part(const lmmc_engine *g, const lmmc_request *r, int64_t most) {
  const int64_t count = (int64_t)r->prompt.tokens.count, left = part_end(g, r) - r->own.fed;
  lmmc_feed f = {r->own.slot, r->prompt.tokens.values + r->own.fed, is_whole(g, r) || left < most ? left : most, LMMC_WANTS_NONE};
  if (r->own.fed + f.count == count) f.wants = LMMC_WANTS_LAST;
  return f;
}

// What a part that was read leaves.
static void has_read(lmmc_engine *g, lmmc_request *r, int64_t count) {
  const lmmc_model *m = g->session->model;
  int64_t before;
  const int64_t compressed = lmmc_compressed_part(m, r->prompt.tokens.values, (int64_t)r->prompt.tokens.count, &before);
  r->own.fed += count;
  if (compressed > 0 && r->own.fed == compressed) {
    const int32_t held = g->session->slots.positions[r->own.slot];
    lmmc_slot_forget(&g->session->slots, r->own.slot, held - (int32_t)(compressed - before));
    lmmc_resident_seal(&g->residents, r->own.slot);
  }
  if (is_whole(g, r)) lmmc_resident_seal(&g->residents, r->own.slot);
}

static void take_logits(lmmc_engine *g, lmmc_request *r) {
  lmmc_guess *guess = &r->own.guess;
  const int64_t room = lmmc_slot_room(&g->session->slots, r->own.slot);
  int32_t chosen;
  const lmmc_answer_state state = lmmc_guess_judge(guess, &r->answer, g->session, r->own.row, room, &r->own.token, &chosen, &r->error);
  if (guess->guessed > chosen) lmmc_resident_take_back(&g->residents, r->own.slot, guess->guessed - chosen);
  switch (state) {
    case LMMC_ANSWER_GOES_ON:
      if (g->reading == r) g->reading = NULL;
      g->answering[r->own.slot] = r;
      break;
    case LMMC_ANSWER_ENDS:
      end(g, r, r->answer.made.stopped ? LMMC_ENDED_BY_MODEL : r->answer.made.closed ? LMMC_ENDED_BY_SINK : LMMC_ENDED_BY_LIMIT);
      break;
    case LMMC_ANSWER_FAILS: end(g, r, LMMC_ENDED_BY_FAILURE); break;
  }
}

// Guesses what follows the last token of an answer, at most `most` tokens.
static void guess(lmmc_engine *g, lmmc_request *r, int64_t most) {
  const lmmc_resident *held = &g->residents.slot[r->own.slot];
  const int64_t room = lmmc_slot_room(&g->session->slots, r->own.slot);
  if (g->drafts) held->tokens[held->count] = r->own.token;  // where it will stand
  lmmc_guess_next(&r->own.guess, &r->answer, r->own.token, g->drafts ? held->tokens : NULL, held->count + 1, most, room);
}

// One call: a token of every answer, and a part of the prompt that is read.
static void step(lmmc_engine *g) {
  const lmmc_model *m = g->session->model;
  lmmc_request *reader = g->reading;
  int64_t feeds = 0, asked = 0, wanted = 0, answers = 0;
  for (int32_t s = 0; s < m->sequences; s++) answers += g->answering[s] != NULL;
  // Rows are free as long as a call waits for memory: a few, whoever has them.
  const int64_t most = reader || answers == 0 ? 0 : (lmmc_draft_room(m) + 1) / answers - 1;
  for (int32_t s = 0; s < m->sequences; s++) {
    lmmc_request *r = g->answering[s];
    if (!r) continue;
    guess(g, r, most);
    r->own.row = (int32_t)wanted;
    wanted += 1 + r->own.guess.guessed;
    g->feeds[feeds++] = lmmc_guess_feed(&r->own.guess, s);
    g->asked[asked++] = r;
  }
  if (reader) {
    const lmmc_feed part = next_part(g, reader, feeds < m->chunk ? m->chunk - feeds : 1);
    if (part.wants == LMMC_WANTS_LAST) {
      reader->own.row = (int32_t)wanted;
      g->asked[asked++] = reader;
    }
    g->feeds[feeds++] = part;
  }
  if (feeds == 0) return;
  const double seconds = lmmc_step(g->session, g->feeds, feeds, reader ? "prefill" : "decode");
  for (int64_t i = 0; i < feeds; i++) lmmc_resident_extend(&g->residents, g->feeds[i].slot, g->feeds[i].tokens, g->feeds[i].count);
  if (reader) {
    has_read(g, reader, g->feeds[feeds - 1].count);
    reader->prefill += seconds;
  }
  for (int64_t i = 0; i < asked; i++) take_logits(g, g->asked[i]);
}

// Behind a block of the tower: the answers that grow go on.
static void step_others(void *context) {
  lmmc_engine *g = context;
  lmmc_request *reading = g->reading;
  g->reading = NULL;
  step(g);
  g->reading = reading;
}

bool lmmc_engine_turn(lmmc_engine *g) {
  end_cancelled(g);
  begin(g);
  lmmc_request *r = g->reading;
  if (r && see_image(g, r) && r->own.seen < r->prompt.images) {
    // The others do not wait for all images: this turn reads nothing.
    g->reading = NULL;
    step(g);
    g->reading = r;
  } else {
    step(g);
  }
  bool is_busy = g->reading || g->first;
  for (int32_t s = 0; !is_busy && s < g->session->model->sequences; s++) is_busy = g->answering[s] != NULL;
  return is_busy;
}
