#include "work.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "serve/exchange/server.h"
#include "work_internal.h"

void lmmc_work_append(lmmc_work_list *l, lmmc_work_item *i) {
  i->next = NULL;
  *(l->last ? &l->last->next : &l->first) = i;
  l->last = i;
}

lmmc_work *lmmc_work_open(lmmc_server *s, lmmc_engine *engine, lmmc_error *e) {
  lmmc_work *w = calloc(1, sizeof *w);
  if (!w) return lmmc_fail(e, 1, "out of memory for a server"), NULL;
  *w = (lmmc_work){.server = s,
                   .engine = engine,
                   .wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                   .lock = PTHREAD_MUTEX_INITIALIZER,
                   .for_preparing = PTHREAD_COND_INITIALIZER,
                   .for_answering = PTHREAD_COND_INITIALIZER,
                   .load = {.most = s->settings->parallel + s->settings->queue, .seconds = 1}};
  if (w->wake >= 0) return w;
  lmmc_fail(e, 1, "no event can be made: %s", lmmc_reason(errno).text);
  free(w);
  return NULL;
}

void lmmc_work_close(lmmc_work *w) {
  close(w->wake);
  free(w);
}

int lmmc_work_descriptor(const lmmc_work *w) { return w->wake; }

// ---- under the lock

// Something has changed for the thread of the loop.
void lmmc_work_report(lmmc_work *w, lmmc_work_item *i) {
  if (i->is_listed) return;
  i->is_listed = true;
  i->next_changed = NULL;
  if (w->changed)
    w->last_changed->next_changed = i;
  else
    (void)!write(w->wake, &(uint64_t){1}, sizeof(uint64_t));
  *(w->changed ? &w->last_changed : &w->changed) = i;
  w->last_changed = i;
}

static void recount(lmmc_work *w) {
  const int64_t all = w->load.waiting + w->load.answering, parallel = w->server->settings->parallel;
  w->load.answering = all < parallel ? all : parallel;
  w->load.waiting = all - w->load.answering;
}

void lmmc_work_hold(lmmc_work *w, lmmc_work_item *i, int32_t answers) {
  i->held += answers;
  w->load.waiting += answers;
  recount(w);
}

void lmmc_work_end(lmmc_work *w, lmmc_work_item *i) {
  lmmc_work_hold(w, i, -i->held);
  i->state = LMMC_WORK_DONE;
  lmmc_work_report(w, i);
}

// ---- the thread of the loop

bool lmmc_work_submit(lmmc_work *w, lmmc_exchange *x, char *body, size_t bytes, lmmc_fault *f) {
  lmmc_work_item *i = calloc(1, sizeof *i);
  if (!i) {
    free(body);
    return lmmc_refuse(f, 500, NULL, NULL, "out of memory for a request");
  }
  *i = (lmmc_work_item){.x = x, .body = body, .bytes = bytes};
  pthread_mutex_lock(&w->lock);
  const lmmc_load load = w->load;
  const bool fits = load.waiting + load.answering < load.most && load.bodies + bytes <= LMMC_MOST_RECEIVED;
  if (fits) {
    lmmc_work_hold(w, i, 1);
    w->load.bodies += bytes;
    lmmc_work_append(&w->bodies, i);
    pthread_cond_signal(&w->for_preparing);
  }
  pthread_mutex_unlock(&w->lock);
  if (fits) {
    x->work = i;
    return true;
  }
  free(body);
  free(i);
  lmmc_refuse(f, 503, "server_busy", NULL, "this server answers %lld requests and %lld wait, which is all that may",
              (long long)load.answering, (long long)load.waiting);
  const double wait = load.seconds;
  f->retry_after = wait < 1 ? 1 : wait > 60 ? 60 : (int)wait;
  return false;
}

void lmmc_work_cancel(lmmc_work *w, lmmc_exchange *x) {
  pthread_mutex_lock(&w->lock);
  x->work->is_cancelled = true;
  w->cancels = true;
  pthread_cond_signal(&w->for_answering);
  pthread_mutex_unlock(&w->lock);
}

lmmc_exchange *lmmc_work_changed(lmmc_work *w, bool *is_done) {
  uint64_t times;
  pthread_mutex_lock(&w->lock);
  lmmc_work_item *i = w->changed;
  if (i) {
    w->changed = i->next_changed;
    i->is_listed = false;
    *is_done = i->state == LMMC_WORK_DONE;
  } else {
    (void)!read(w->wake, &times, sizeof times);
  }
  pthread_mutex_unlock(&w->lock);
  return i ? i->x : NULL;
}

void lmmc_work_take(lmmc_work *w, lmmc_exchange *x, int32_t answer, lmmc_grown *grown, bool *ended) {
  lmmc_work_one *o = &x->work->ones[answer];
  pthread_mutex_lock(&w->lock);
  const lmmc_grown empty = *grown;
  *grown = o->grown;
  o->grown = empty;
  o->grown.text.count = o->grown.token_count = o->grown.top_count = 0;
  *ended = o->ended;
  if (o->ended && !o->reported) {
    lmmc_told_answer *to = &x->answers[answer];
    const lmmc_told_answer kept = *to;
    *to = o->outcome;
    to->all = kept.all;
    to->told = kept.told;
    to->text_bytes = kept.text_bytes;
    to->first_at = kept.first_at;
    to->last_at = kept.last_at;
    to->begun = kept.begun;
    to->ended = kept.ended;
    o->reported = true;
  }
  pthread_mutex_unlock(&w->lock);
}

lmmc_work_state lmmc_work_state_of(lmmc_work *w, lmmc_exchange *x) {
  pthread_mutex_lock(&w->lock);
  const lmmc_work_state state = x->work->state;
  if (state != LMMC_WORK_GOES_ON) x->answers = x->work->answers;
  if (state == LMMC_WORK_DONE && x->work->fault.status) x->fault = x->work->fault;
  pthread_mutex_unlock(&w->lock);
  return state;
}

static void free_grown(lmmc_grown *g) {
  lmmc_text_free(&g->text);
  free(g->tokens);
  free(g->top);
}

void lmmc_work_release(lmmc_work *w, lmmc_exchange *x) {
  lmmc_work_item *i = x->work;
  (void)w;
  for (int32_t k = 0; i->ones && k < i->count; k++) free_grown(&i->ones[k].grown);
  free(i->ones);
  x->answers = i->answers;
  free(i);
  x->work = NULL;
}

lmmc_load lmmc_work_load(lmmc_work *w) {
  pthread_mutex_lock(&w->lock);
  const lmmc_load load = w->load;
  pthread_mutex_unlock(&w->lock);
  return load;
}

void lmmc_work_stop(lmmc_work *w) {
  pthread_mutex_lock(&w->lock);
  w->stops = true;
  pthread_cond_broadcast(&w->for_preparing);
  pthread_cond_broadcast(&w->for_answering);
  pthread_mutex_unlock(&w->lock);
}
