#include <malloc.h>
#include <stdlib.h>

#include "serve/exchange/server.h"
#include "work_internal.h"

// A body so long, or images that took so long, had memory that is worth to be given back.
enum { LONG_BODY = 8 << 20 };
static const double long_preprocess = 0.1;

static lmmc_work_item *take_first(lmmc_work_list *l) {
  lmmc_work_item *i = l->first;
  if (i && !(l->first = i->next)) l->last = NULL;
  return i;
}

static bool make_ones(lmmc_work *w, lmmc_work_item *i, lmmc_fault *f) {
  lmmc_exchange *x = i->x;
  const int32_t answers = x->asked.answers;
  pthread_mutex_lock(&w->lock);
  const bool fits = w->load.waiting + w->load.answering + answers - 1 <= w->load.most;
  if (fits) lmmc_work_hold(w, i, answers - 1);
  pthread_mutex_unlock(&w->lock);
  if (!fits) {
    lmmc_refuse(f, 503, "server_busy", "n", "there is no room for %d answers more", answers);
    f->retry_after = 1;
    return false;
  }
  i->ones = calloc((size_t)answers, sizeof *i->ones);
  i->answers = calloc((size_t)answers, sizeof *i->answers);
  if (!i->ones || !i->answers) return lmmc_refuse(f, 500, NULL, NULL, "out of memory for %d answers", answers);
  i->count = i->living = answers;
  for (int32_t k = 0; k < answers; k++) {
    lmmc_work_one *o = &i->ones[k];
    o->item = i;
    lmmc_work_listen(o);
    if (!lmmc_prepare_request(x, &i->prepared, k, &o->request, f)) return false;
  }
  return true;
}

static void prepare(lmmc_work *w, lmmc_work_item *i) {
  lmmc_exchange *x = i->x;
  lmmc_fault f = {0};
  pthread_mutex_lock(&w->lock);
  const bool is_wanted = !i->is_cancelled;
  pthread_mutex_unlock(&w->lock);
  bool done = is_wanted ? lmmc_prepare_read(x, i->body, i->bytes, &f) : lmmc_refuse(&f, 503, NULL, NULL, "nobody waits for the answer");
  free(i->body);
  i->body = NULL;
  pthread_mutex_lock(&w->lock);
  w->load.bodies -= i->bytes;
  pthread_mutex_unlock(&w->lock);
  const bool asks = done && x->reply.count == 0;
  if (asks) done = lmmc_prepare(x, &i->prepared, &f) && make_ones(w, i, &f);
  const bool was_large = i->bytes >= LONG_BODY || i->prepared.preprocess >= long_preprocess;
  if (!done || !asks) {
    for (int32_t k = 0; i->ones && k < i->count; k++) lmmc_request_close(&i->ones[k].request);
    lmmc_prepared_free(x, &i->prepared);
  }
  pthread_mutex_lock(&w->lock);
  if (done && asks) {
    i->state = LMMC_WORK_READY;
    lmmc_work_append(&w->ready, i);
    pthread_cond_signal(&w->for_answering);
  } else {
    i->fault = f;
    lmmc_work_end(w, i);
  }
  pthread_mutex_unlock(&w->lock);
  // The item may be gone.
  if (was_large) malloc_trim(0);
}

void lmmc_work_prepare(lmmc_work *w) {
  for (;;) {
    pthread_mutex_lock(&w->lock);
    while (!w->bodies.first && !w->stops) pthread_cond_wait(&w->for_preparing, &w->lock);
    lmmc_work_item *i = take_first(&w->bodies);
    pthread_mutex_unlock(&w->lock);
    if (!i) return;
    prepare(w, i);
  }
}
