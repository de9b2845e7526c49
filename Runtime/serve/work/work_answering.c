#include <stdlib.h>
#include <string.h>

#include "serve/exchange/server.h"
#include "system/threads.h"
#include "work_internal.h"

// ---- what the engine tells

static void *room(void *list, size_t count, size_t more, size_t *capacity, size_t size, lmmc_error *e) {
  if (count + more <= *capacity) return list;
  const size_t wanted = 2 * (count + more);
  void *larger = realloc(list, wanted * size);
  if (!larger) return lmmc_fail(e, 1, "out of memory for an answer"), NULL;
  *capacity = wanted;
  return larger;
}

// What is told of a token, made before the lock is taken.
typedef struct {
  lmmc_told_token token;
  lmmc_log_probability best[LMMC_MOST_LOG_PROBABILITIES];
  size_t count;
} told;

static void rate(const lmmc_work_one *o, int32_t id, told *t) {
  const int32_t vocabulary = o->request.answer.model->vocabulary, top = o->item->x->asked.top;
  t->token = (lmmc_told_token){.id = id, .at = lmmc_clock()};
  t->count = top > 0 ? (size_t)(top < vocabulary ? top : vocabulary) : 0;
  if (top >= 0) t->token.value = lmmc_log_probability_of(o->logits, vocabulary, id);
  if (t->count > 0) lmmc_log_probabilities(o->logits, vocabulary, t->best, (int32_t)t->count);
}

static bool keep_token(lmmc_grown *g, const told *t, lmmc_error *e) {
  lmmc_told_token *tokens = room(g->tokens, g->token_count, 1, &g->token_room, sizeof *tokens, e);
  if (!tokens) return false;
  g->tokens = tokens;
  tokens[g->token_count] = t->token;
  tokens[g->token_count++].text_at = g->text.count;
  if (t->count == 0) return true;
  lmmc_log_probability *best = room(g->top, g->top_count, t->count, &g->top_room, sizeof *best, e);
  if (!best) return false;
  g->top = best;
  memcpy(best + g->top_count, t->best, t->count * sizeof *best);
  g->top_count += t->count;
  return true;
}

static bool take_logits(void *context, const float *logits, lmmc_error *e) {
  (void)e;
  ((lmmc_work_one *)context)->logits = logits;
  return true;
}

static lmmc_write_result take_token(void *context, int32_t id, const char *text, size_t bytes, lmmc_error *e) {
  lmmc_work_one *o = context;
  lmmc_work *w = o->item->x->server->work;
  told t;
  rate(o, id, &t);
  pthread_mutex_lock(&w->lock);
  const bool is_wanted = !o->item->is_cancelled;
  const bool done = keep_token(&o->grown, &t, e) && lmmc_text_append(&o->grown.text, text, bytes, e);
  lmmc_work_report(w, o->item);
  pthread_mutex_unlock(&w->lock);
  return !done ? LMMC_WRITE_FAILED : is_wanted ? LMMC_WRITTEN : LMMC_CLOSED;
}

static bool take_end(void *context, const char *text, size_t bytes, lmmc_error *e) {
  lmmc_work_one *o = context;
  lmmc_work *w = o->item->x->server->work;
  pthread_mutex_lock(&w->lock);
  const bool done = lmmc_text_append(&o->grown.text, text, bytes, e);
  pthread_mutex_unlock(&w->lock);
  return done;
}

static lmmc_told_answer outcome_of(const lmmc_work_one *o) {
  const lmmc_request *r = &o->request;
  const lmmc_generation *made = &r->answer.made;
  const lmmc_prompt *p = &r->prompt;
  return (lmmc_told_answer){
      .ending = r->ending,
      .stopped = made->stopped,
      .error = r->error,
      .tokens = made->tokens,
      .prompt_tokens = p->text_tokens,
      .visual_tokens = p->visual_tokens - p->images * o->item->x->server->model->prefused_rows,
      .shared_tokens = r->shared,
      .images = p->images,
      .encoded_images = r->encoded,
      .submitted = r->submitted,
      .begun_at = r->begun > 0 ? r->begun : lmmc_clock(),
      .prompt_at = made->first_token,
      .preprocess = o->item->prepared.preprocess,
      .vision = r->vision,
      .project = r->project,
      .prefill = r->prefill,
      .decode = made->seconds,
  };
}

// An answer has ended, or was never begun. The item may be gone behind it.
static void end_one(lmmc_work_one *o) {
  lmmc_work_item *i = o->item;
  lmmc_work *w = i->x->server->work;
  const lmmc_told_answer outcome = outcome_of(o);
  lmmc_structured_close(&o->structured);
  lmmc_request_close(&o->request);
  const bool is_last = --i->living == 0;
  if (is_last) lmmc_prepared_free(i->x, &i->prepared);
  if (is_last) {
    lmmc_work_item **at = &w->running.first, *before = NULL;
    while (*at != i) before = *at, at = &(*at)->next;
    *at = i->next;
    if (w->running.last == i) w->running.last = before;
  }
  pthread_mutex_lock(&w->lock);
  o->outcome = outcome;
  o->ended = true;
  if (outcome.prompt_at > 0) w->load.seconds += 0.1 * (lmmc_clock() - outcome.begun_at - w->load.seconds);
  if (is_last) {
    lmmc_work_end(w, i);
  } else {
    lmmc_work_hold(w, i, -1);
    lmmc_work_report(w, i);
  }
  pthread_mutex_unlock(&w->lock);
}

static void request_ended(lmmc_request *r) { end_one((lmmc_work_one *)r); }

void lmmc_work_listen(lmmc_work_one *o) {
  o->request.ended = request_ended;
  o->request.sink = (lmmc_sink){o, o->item->x->asked.top >= 0 ? take_logits : NULL, take_token, take_end};
}

// ---- the thread that turns the engine

static void refuse_one(lmmc_work_one *o, lmmc_ending ending, const lmmc_error *why) {
  o->request.ending = ending;
  if (why) o->request.error = *why;
  end_one(o);
}

static void begin(lmmc_work *w, lmmc_work_item *i, bool is_wanted) {
  const lmmc_serve_settings *s = w->server->settings;
  lmmc_structure *structure = i->prepared.structure ? i->prepared.structure : s->structure;
  const int32_t count = i->count;
  lmmc_work_append(&w->running, i);
  for (int32_t k = 0; k < count; k++) {
    lmmc_work_one *o = &i->ones[k];
    lmmc_error e;
    if (structure) o->request.constraint = lmmc_structured_constraint(&o->structured);
    // The item may be gone behind its last.
    if (!is_wanted)
      refuse_one(o, LMMC_ENDED_BY_CANCEL, NULL);
    else if (structure && !lmmc_structured_open(&o->structured, s->structures, structure, &e))
      refuse_one(o, LMMC_ENDED_BY_FAILURE, &e);
    else
      lmmc_engine_submit(w->engine, &o->request);
  }
}

static void cancel(lmmc_work *w) {
  for (lmmc_work_item *i = w->running.first; i; i = i->next) {
    pthread_mutex_lock(&w->lock);
    const bool is_wanted = !i->is_cancelled;
    pthread_mutex_unlock(&w->lock);
    for (int32_t k = 0; !is_wanted && k < i->count; k++)
      if (!i->ones[k].ended) lmmc_engine_cancel(w->engine, &i->ones[k].request);
  }
}

void lmmc_work_answer(lmmc_work *w) {
  for (bool is_idle = true;;) {
    pthread_mutex_lock(&w->lock);
    while (is_idle && !w->ready.first && !w->cancels && !w->stops) pthread_cond_wait(&w->for_answering, &w->lock);
    const bool cancels = w->cancels, stops = w->stops;
    lmmc_work_item *i = w->ready.first;
    w->ready = (lmmc_work_list){0};
    w->cancels = false;
    pthread_mutex_unlock(&w->lock);
    if (stops && is_idle && !i) return;
    for (lmmc_work_item *next; i; i = next) {
      next = i->next;
      pthread_mutex_lock(&w->lock);
      const bool is_wanted = !i->is_cancelled;
      pthread_mutex_unlock(&w->lock);
      begin(w, i, is_wanted);
    }
    if (cancels) cancel(w);
    is_idle = !lmmc_engine_turn(w->engine);
  }
}
