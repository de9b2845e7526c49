// What the server does, counted, and told in Prometheus's text format. Names are vLLM's where they mean the same here, and those of
// OpenTelemetry's conventions for GenAI servers; Docs/Serving.md has all of them. It knows no sockets and no engine. Any thread may count.
#ifndef LMMC_SERVE_METRICS_METRICS_H
#define LMMC_SERVE_METRICS_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

#define LMMC_METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

typedef enum { LMMC_OPERATION_CHAT, LMMC_OPERATION_TEXT, LMMC_OPERATIONS } lmmc_operation;

// Why an answer ended.
typedef enum { LMMC_FINISH_STOP, LMMC_FINISH_LENGTH, LMMC_FINISH_ABORT, LMMC_FINISH_ERROR, LMMC_FINISHES } lmmc_finish;

// What is so many now.
typedef enum { LMMC_GAUGE_RUNNING, LMMC_GAUGE_WAITING, LMMC_GAUGE_CONNECTIONS, LMMC_GAUGES } lmmc_gauge;

// An answer that is over. Times are seconds.
typedef struct {
  lmmc_operation operation;
  lmmc_finish finish;
  int64_t prompt_tokens;      // text and vision
  int64_t vision_tokens;      // of them
  int64_t shared_tokens;      // of them, whose keys and values were there
  int64_t tokens;             // of the answer
  int32_t images, encoded;    // of the prompt, and those of them that went through the tower
  double queued;              // until its prompt was begun; below 0: it never was
  double first_token, total;  // from the request's arrival on; below 0: there was none
} lmmc_answered;

typedef struct lmmc_metrics lmmc_metrics;

// `model` names the program, `slots` are its answers that may grow at once. NULL with code 1 when memory is out.
lmmc_metrics *lmmc_metrics_open(const char *model, const char *version, int32_t slots, lmmc_error *e);
void lmmc_metrics_close(lmmc_metrics *m);  // which may be NULL

// A request that was answered by `status`. `route` is a pattern and not a path of a stranger's, NULL for one that is not known; it and
// `method` stay as long as `m`.
void lmmc_metrics_request(lmmc_metrics *m, const char *method, const char *route, int status, double seconds);

void lmmc_metrics_set(lmmc_metrics *m, lmmc_gauge gauge, int64_t value);
void lmmc_metrics_refuse(lmmc_metrics *m);  // a request for which the queue had no room

// A token of an answer, so many seconds behind the one before it, or behind the request's arrival where it is the first.
void lmmc_metrics_token(lmmc_metrics *m, bool is_first, double seconds);
void lmmc_metrics_answered(lmmc_metrics *m, const lmmc_answered *a);

// Appends all of it.
bool lmmc_metrics_text(lmmc_metrics *m, lmmc_text *out, lmmc_error *e);

#endif
