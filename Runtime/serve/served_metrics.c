#include "served_metrics.h"

#include <stdlib.h>
#include <string.h>

#include "connections.h"
#include "serve/metrics/metrics.h"
#include "serve/formats/ollama.h"
#include "serve/formats/openai.h"
#include "serve/exchange/server.h"
#include "system/threads.h"
#include "serve/work/work.h"

// What a client that has left before its reply is counted as: there is no status, and this one is known for it.
enum { CLIENT_LEFT = 499 };

typedef struct {
  lmmc_exchange_watch watch;
  lmmc_metrics *metrics;
} served_metrics;

// Tokens have the times when they were sampled, whenever the loop hears of them; it tells of them before it counts them in.
static void on_grown(void *context, const lmmc_exchange *x, int32_t answer, const lmmc_grown *grown) {
  const served_metrics *m = context;
  const lmmc_told_answer *a = &x->answers[answer];
  double last = a->last_at;
  for (size_t i = 0; i < grown->token_count; i++) {
    const double at = grown->tokens[i].at;
    lmmc_metrics_token(m->metrics, last <= 0, at - (last > 0 ? last : x->began));
    last = at;
  }
}

static lmmc_finish finish_of(const lmmc_told_answer *a) {
  if (!a->ended) return LMMC_FINISH_ABORT;
  switch (a->ending) {
    case LMMC_ENDED_BY_MODEL:
    case LMMC_ENDED_BY_LIMIT: return a->stopped ? LMMC_FINISH_STOP : LMMC_FINISH_LENGTH;
    case LMMC_ENDED_BY_FAILURE: return LMMC_FINISH_ERROR;
    case LMMC_ENDED_BY_SINK:
    case LMMC_ENDED_BY_CANCEL: break;
  }
  return LMMC_FINISH_ABORT;
}

static void count_answer(const served_metrics *m, const lmmc_exchange *x, const lmmc_told_answer *a, double seconds) {
  const bool is_text = x->format == &lmmc_openai_completion || x->format == &lmmc_ollama_generate;
  const bool was_begun = a->ended && a->begun_at > a->submitted && a->submitted > 0;
  lmmc_metrics_answered(m->metrics, &(lmmc_answered){.operation = is_text ? LMMC_OPERATION_TEXT : LMMC_OPERATION_CHAT,
                                                     .finish = finish_of(a),
                                                     .prompt_tokens = lmmc_all_prompt_tokens(a),
                                                     .vision_tokens = a->visual_tokens,
                                                     .shared_tokens = a->shared_tokens,
                                                     .tokens = a->ended ? a->tokens : a->told,
                                                     .images = a->images,
                                                     .encoded = a->encoded_images,
                                                     .queued = was_begun ? a->begun_at - a->submitted : -1,
                                                     .first_token = a->first_at > 0 ? a->first_at - x->began : -1,
                                                     .total = seconds});
}

static void on_ended(void *context, const lmmc_exchange *x, double seconds) {
  const served_metrics *m = context;
  lmmc_metrics_request(m->metrics, x->method, x->path[0] ? x->path : NULL, x->status ? x->status : CLIENT_LEFT, seconds);
  if (x->fault.code && strcmp(x->fault.code, "server_busy") == 0) lmmc_metrics_refuse(m->metrics);
  if (!x->answers || x->reply.count > 0) return;
  for (int32_t i = 0; i < x->asked.answers; i++) count_answer(m, x, &x->answers[i], seconds);
}

bool lmmc_served_metrics_open(lmmc_server *s, lmmc_error *e) {
  served_metrics *m = calloc(1, sizeof *m);
  if (!m) return lmmc_fail(e, 1, "out of memory for metrics");
  m->watch = (lmmc_exchange_watch){.context = m, .grown = on_grown, .ended = on_ended};
  s->watch = &m->watch;
  m->metrics = lmmc_metrics_open(s->settings->model_id, s->model->version, s->settings->parallel, e);
  return m->metrics != NULL;
}

void lmmc_served_metrics_close(lmmc_server *s) {
  if (!s->watch) return;
  served_metrics *m = s->watch->context;
  lmmc_metrics_close(m->metrics);
  free(m);
  s->watch = NULL;
}

bool lmmc_served_metrics(lmmc_server *s, const char *rest, lmmc_instant *out, lmmc_fault *f) {
  const served_metrics *m = s->watch->context;
  const lmmc_load load = lmmc_work_load(s->work);
  lmmc_error e;
  (void)rest;
  lmmc_metrics_set(m->metrics, LMMC_GAUGE_RUNNING, load.answering);
  lmmc_metrics_set(m->metrics, LMMC_GAUGE_WAITING, load.waiting);
  lmmc_metrics_set(m->metrics, LMMC_GAUGE_CONNECTIONS, lmmc_connection_count(s->connections));
  out->type = LMMC_METRICS_TYPE;
  return lmmc_metrics_text(m->metrics, &out->body, &e) || lmmc_refuse_error(f, NULL, NULL, &e);
}
