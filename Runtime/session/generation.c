#define _GNU_SOURCE  // memmem
#include "generation.h"

#include <string.h>

#include "system/threads.h"

static bool is_eos(const lmmc_model *m, int32_t id) {
  for (int i = 0; i < m->eos_count; i++)
    if (m->eos[i] == id) return true;
  return false;
}

// ---- a sink that keeps

static bool keep_text(void *context, const char *text, size_t bytes, lmmc_error *e) {
  return bytes == 0 || lmmc_text_append(&((lmmc_kept_answer *)context)->text, text, bytes, e);
}

static lmmc_write_result keep_token(void *context, int32_t id, const char *text, size_t bytes, lmmc_error *e) {
  const bool done = lmmc_ids_append(&((lmmc_kept_answer *)context)->tokens, id, e) && keep_text(context, text, bytes, e);
  return done ? LMMC_WRITTEN : LMMC_WRITE_FAILED;
}

lmmc_sink lmmc_keeping_sink(lmmc_kept_answer *kept) { return (lmmc_sink){.context = kept, .token = keep_token, .end = keep_text}; }

void lmmc_kept_free(lmmc_kept_answer *kept) {
  lmmc_ids_free(&kept->tokens);
  lmmc_text_free(&kept->text);
}

// ---- tokens, one by one

// Where the first stop text of what is not told yet begins; all of it where there is none.
static size_t find_stop(const lmmc_answer *a) {
  size_t first = a->text.count;
  for (int i = 0; i < a->stop_count; i++) {
    const lmmc_stop *s = &a->stops[i];
    const char *found = a->text.count > 0 ? memmem(a->text.bytes, a->text.count, s->text, s->bytes) : NULL;
    if (found && (size_t)(found - a->text.bytes) < first) first = (size_t)(found - a->text.bytes);
  }
  return first;
}

// How much at the end of it may be the start of a stop text.
static size_t held_back(const lmmc_answer *a) {
  size_t most = 0;
  for (int i = 0; i < a->stop_count; i++)
    for (size_t n = a->stops[i].bytes - 1 < a->text.count ? a->stops[i].bytes - 1 : a->text.count; n > most; n--)
      if (memcmp(a->text.bytes + a->text.count - n, a->stops[i].text, n) == 0) most = n;
  return most;
}

static lmmc_answer_state end(lmmc_answer *a, lmmc_error *e) {
  a->made.seconds = lmmc_clock() - a->made.first_token;
  bool done = lmmc_detokenize_end(&a->detokenizer, &a->text, e) && a->sink->end(a->sink->context, a->text.bytes, a->text.count, e);
  return done ? LMMC_ANSWER_ENDS : LMMC_ANSWER_FAILS;
}

// The next token; -1 with `*e` filled where there is none.
static int32_t choose(lmmc_answer *a, const float *logits, lmmc_error *e) {
  const lmmc_constraint *c = a->constraint;
  int32_t only;
  if (!c) return lmmc_sample(a->sampler, logits, e);
  const uint64_t *allowed = c->allowed(c->context, &only, e);
  if (!allowed) return -1;
  if (only < 0) return lmmc_sample_allowed(a->sampler, logits, allowed, e);
  return lmmc_sampler_take(a->sampler, only, e) ? only : -1;
}

// Whether nothing may come behind the answer. Whoever asks for logits gets those behind its last token too, as where the model ends it.
static bool is_whole(const lmmc_answer *a, bool goes_on) {
  const lmmc_constraint *c = a->constraint;
  return c && !(a->sink->logits && goes_on && a->model->eos_count > 0) && c->is_over(c->context);
}

lmmc_answer_state lmmc_answer_next(lmmc_answer *a, const float *logits, int64_t room, int32_t *token, lmmc_error *e) {
  const lmmc_sink *sink = a->sink;
  lmmc_generation *made = &a->made;
  const int32_t id = *token = choose(a, logits, e);
  if (id < 0) return LMMC_ANSWER_FAILS;
  if (!made->first_token) made->first_token = lmmc_clock();
  if (sink->logits && !sink->logits(sink->context, logits, e)) return LMMC_ANSWER_FAILS;
  made->stopped = is_eos(a->model, id);
  if (made->stopped) return end(a, e);
  if (a->constraint && !a->constraint->take(a->constraint->context, id, e)) return LMMC_ANSWER_FAILS;
  made->tokens++;
  if (!lmmc_detokenize(a->tokenizer, &a->detokenizer, id, &a->text, e)) return LMMC_ANSWER_FAILS;
  const size_t stop = find_stop(a);
  made->stopped = stop < a->text.count;
  const size_t told = made->stopped ? stop : a->text.count - held_back(a);
  const lmmc_write_result result = sink->token(sink->context, id, a->text.bytes, told, e);
  if (result == LMMC_WRITE_FAILED) return LMMC_ANSWER_FAILS;
  made->closed = result == LMMC_CLOSED;
  if (made->stopped) {
    a->text.count = 0;
    a->detokenizer = (lmmc_detokenizer){0};
    return end(a, e);
  }
  a->text.count -= told;
  if (a->text.count > 0) memmove(a->text.bytes, a->text.bytes + told, a->text.count);
  // A token for which the context has no row or position left is not decoded.
  const bool goes_on = made->tokens < a->max_tokens && room > 0 && !made->closed;
  made->stopped = is_whole(a, goes_on);
  if (!goes_on || made->stopped) return end(a, e);
  made->steps++;
  return LMMC_ANSWER_GOES_ON;
}

void lmmc_answer_free(lmmc_answer *a) { lmmc_text_free(&a->text); }

void lmmc_guess_next(lmmc_guess *g, const lmmc_answer *a, int32_t token, const int32_t *said, int64_t count, int64_t most, int64_t room) {
  const lmmc_constraint *c = a->constraint;
  const int64_t left = a->max_tokens - a->made.tokens;  // the last of them needs no logits behind it
  g->rows[0] = token;
  g->guessed = 0;
  if (most > room - 1) most = room - 1;
  if (most > left - 1) most = left - 1;
  if (most < 1) return;
  if (c) g->guessed = c->forced(c->context, (int32_t)most, g->rows + 1);
  g->is_forced = g->guessed > 0;
  if (!g->is_forced && said) g->guessed = lmmc_draft_next(&g->draft, said, count, (int32_t)most, g->rows + 1);
}

lmmc_feed lmmc_guess_feed(const lmmc_guess *g, int32_t slot) {
  // A slot that is computed again has the logits of its last row alone.
  lmmc_feed feed = {slot, g->rows, 1 + g->guessed, LMMC_WANTS_LAST};
  if (g->guessed > 0) feed.wants = LMMC_WANTS_ALL;
  return feed;
}

lmmc_answer_state lmmc_guess_judge(lmmc_guess *g, lmmc_answer *a, const lmmc_session *s, int64_t row, int64_t room, int32_t *token,
                                   int32_t *chosen, lmmc_error *e) {
  lmmc_answer_state state;
  *chosen = 0;
  while ((state = lmmc_answer_next(a, lmmc_logits(s, row + *chosen), room + g->guessed - *chosen, token, e)) == LMMC_ANSWER_GOES_ON &&
         *chosen < g->guessed && *token == g->rows[1 + *chosen])
    ++*chosen;
  if (!g->is_forced) lmmc_draft_judge(&g->draft, g->guessed, *chosen);
  return state;
}

bool lmmc_generate(lmmc_session *s, int32_t slot, lmmc_answer *answer, lmmc_error *e) {
  const int64_t most = lmmc_draft_room(s->model);
  lmmc_ids *said = answer->said;
  lmmc_guess guess = {0};
  int32_t token, chosen;
  lmmc_answer_state state = lmmc_answer_next(answer, lmmc_logits(s, 0), lmmc_slot_room(&s->slots, slot), &token, e);
  while (state == LMMC_ANSWER_GOES_ON) {
    if (said && !lmmc_ids_append(said, token, e)) return false;
    lmmc_guess_next(&guess, answer, token, said ? said->values : NULL, said ? (int64_t)said->count : 0, most,
                    lmmc_slot_room(&s->slots, slot));
    const lmmc_feed feed = lmmc_guess_feed(&guess, slot);
    lmmc_step(s, &feed, 1, "decode");
    state = lmmc_guess_judge(&guess, answer, s, 0, lmmc_slot_room(&s->slots, slot), &token, &chosen, e);
    if (guess.guessed > chosen) lmmc_slot_take_back(&s->slots, slot, guess.guessed - chosen);
    if (said && !lmmc_ids_append_all(said, guess.rows + 1, (size_t)chosen, e)) return false;
  }
  return state == LMMC_ANSWER_ENDS;
}
