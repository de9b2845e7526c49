#define _GNU_SOURCE  // memmem
#include "generation.h"

#include <string.h>

#include "system/threads.h"

static bool is_eos(const lmmc_model *m, int32_t id) {
  for (int i = 0; i < m->eos_count; i++)
    if (m->eos[i] == id) return true;
  return false;
}

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

int32_t lmmc_answer_guess(const lmmc_answer *a, lmmc_draft *draft, const int32_t *said, int64_t count, int32_t most, int32_t *out,
                          bool *is_forced) {
  const lmmc_constraint *c = a->constraint;
  const int32_t forced = c && most > 0 ? c->forced(c->context, most, out) : 0;
  *is_forced = forced > 0;
  return forced > 0 ? forced : draft ? lmmc_draft_next(draft, said, count, most, out) : 0;
}

// Feeds a token and what is guessed behind it, and goes through the logits as far as the draft was right.
static lmmc_answer_state take_drafted(lmmc_session *s, int32_t slot, lmmc_answer *a, lmmc_draft *draft, int32_t *token, lmmc_error *e) {
  int32_t rows[1 + LMMC_MOST_DRAFTED] = {*token};
  const int64_t room = lmmc_slot_room(&s->slots, slot), left = a->max_tokens - a->made.tokens;
  int64_t most = s->model->wanted_rows < s->model->chunk ? s->model->wanted_rows : s->model->chunk;
  if (most > LMMC_MOST_DRAFTED + 1) most = LMMC_MOST_DRAFTED + 1;
  if (most > room) most = room;
  // The last token of an answer needs no logits behind it.
  if (most > left) most = left;
  bool is_forced;
  if (a->said && !lmmc_ids_append(a->said, *token, e)) return LMMC_ANSWER_FAILS;
  const int32_t drafted = lmmc_answer_guess(a, a->said ? draft : NULL, a->said ? a->said->values : NULL,
                                            a->said ? (int64_t)a->said->count : 0, (int32_t)most - 1, rows + 1, &is_forced);
  lmmc_step(s, &(lmmc_feed){slot, rows, 1 + drafted, LMMC_WANTS_ALL}, 1, "decode");
  const int64_t behind = lmmc_slot_room(&s->slots, slot);
  int32_t chosen = 0;
  lmmc_answer_state state;
  while ((state = lmmc_answer_next(a, lmmc_logits(s, chosen), behind + drafted - chosen, token, e)) == LMMC_ANSWER_GOES_ON &&
         chosen < drafted && *token == rows[1 + chosen]) {
    if (a->said && !lmmc_ids_append(a->said, *token, e)) return LMMC_ANSWER_FAILS;
    chosen++;
  }
  lmmc_slot_take_back(&s->slots, slot, drafted - chosen);
  if (!is_forced) lmmc_draft_judge(draft, drafted, chosen);
  return state;
}

bool lmmc_generate(lmmc_session *s, int32_t slot, lmmc_answer *answer, lmmc_error *e) {
  lmmc_draft draft = {0};
  int32_t token;
  lmmc_answer_state state = lmmc_answer_next(answer, lmmc_logits(s, 0), lmmc_slot_room(&s->slots, slot), &token, e);
  while (state == LMMC_ANSWER_GOES_ON) {
    answer->made.calls++;
    if (answer->said || (answer->constraint && lmmc_may_draft(s->model))) {
      state = take_drafted(s, slot, answer, &draft, &token, e);
      continue;
    }
    lmmc_decode_step(s, slot, token);
    state = lmmc_answer_next(answer, lmmc_logits(s, 0), lmmc_slot_room(&s->slots, slot), &token, e);
  }
  return state == LMMC_ANSWER_ENDS;
}
