#include "metrics.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/printable.h"
#include "histogram.h"

// Bounds are those of vLLM, and of OpenTelemetry where a name is theirs, with finer ones below: a token of a small model takes less than a
// millisecond.
static const double first_token_bounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5,
                                            0.75,   1,     2.5,    5,     7.5,  10,   20,   40,   80,   160, 640,  2560};
static const double between_bounds[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15,
                                        0.2,    0.3,     0.4,    0.5,   0.75,   1,     2.5,  5,     7.5,  10,    20,  40};
static const double latency_bounds[] = {0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.3, 0.5, 0.8, 1,   1.5, 2,
                                        2.5,   5,     10,   15,    20,   30,  40,  50,  60,  120, 240, 480};
static const double token_bounds[] = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000};
static const double http_bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300};
static const double otel_duration_bounds[] = {0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92};
static const double otel_first_bounds[] = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10};
static const double otel_token_bounds[] = {0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5};

#define HISTOGRAM(list) ((lmmc_histogram){.bounds = list, .bound_count = (int)(sizeof list / sizeof *list)})

enum { MOST_ROUTES = 96, MOST_STATUSES = 16 };

// The requests of one method and route.
typedef struct {
  const char *method, *route;
  struct {
    int status;
    uint64_t count;
  } statuses[MOST_STATUSES];
  int status_count;
  lmmc_histogram seconds;
} route_counts;

struct lmmc_metrics {
  pthread_mutex_t lock;
  char *model, *version;  // as values of labels, escaped
  int32_t slots;
  double started;  // seconds since 1970
  int memory;      // /proc/self/statm, opened before the process gives up what it does not need; -1: there is none
  int64_t gauges[LMMC_GAUGES];
  route_counts routes[MOST_ROUTES];  // the first is for those that there is no room for
  int route_count;
  uint64_t refused, prompt_tokens, vision_tokens, shared_tokens, tokens, images_kept, images_encoded, finishes[LMMC_FINISHES];
  lmmc_histogram first_token, between, latency, queued, prompt_lengths, answer_lengths;
  lmmc_histogram otel_duration[LMMC_OPERATIONS], otel_first[LMMC_OPERATIONS], otel_token[LMMC_OPERATIONS];
};

// ---- the start

// A text as the value of a label. What is no UTF-8 or cannot be shown stands as the replacement character.
static char *label_value(const char *text, lmmc_error *e) {
  lmmc_text out = {0};
  const size_t bytes = strlen(text);
  bool done = true;
  for (size_t at = 0, length; done && at < bytes; at += length) {
    const uint32_t c = lmmc_character(text + at, bytes - at, &length);
    const bool shows = c != LMMC_NO_CHARACTER && !lmmc_unprintable(c);
    if (c == '"' || c == '\\') done = lmmc_text_append(&out, "\\", 1, e);
    done = done && (shows ? lmmc_text_append(&out, text + at, length, e) : lmmc_text_append(&out, "\xEF\xBF\xBD", 3, e));
  }
  if (done && lmmc_text_append(&out, "", 1, e)) return out.bytes;
  lmmc_text_free(&out);
  return NULL;
}

lmmc_metrics *lmmc_metrics_open(const char *model, const char *version, int32_t slots, lmmc_error *e) {
  lmmc_metrics *m = calloc(1, sizeof *m);
  if (!m) return lmmc_fail(e, 1, "out of memory for metrics"), NULL;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  pthread_mutex_init(&m->lock, NULL);
  m->slots = slots;
  m->started = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
  m->memory = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  m->routes[0] = (route_counts){.method = "OTHER", .route = "none", .seconds = HISTOGRAM(http_bounds)};
  m->route_count = 1;
  m->first_token = HISTOGRAM(first_token_bounds);
  m->between = HISTOGRAM(between_bounds);
  m->latency = m->queued = HISTOGRAM(latency_bounds);
  m->prompt_lengths = m->answer_lengths = HISTOGRAM(token_bounds);
  for (int i = 0; i < LMMC_OPERATIONS; i++) {
    m->otel_duration[i] = HISTOGRAM(otel_duration_bounds);
    m->otel_first[i] = HISTOGRAM(otel_first_bounds);
    m->otel_token[i] = HISTOGRAM(otel_token_bounds);
  }
  m->model = label_value(model, e);
  m->version = m->model ? label_value(version, e) : NULL;
  if (m->version) return m;
  lmmc_metrics_close(m);
  return NULL;
}

void lmmc_metrics_close(lmmc_metrics *m) {
  if (!m) return;
  if (m->memory >= 0) close(m->memory);
  pthread_mutex_destroy(&m->lock);
  free(m->model);
  free(m->version);
  free(m);
}

// ---- counting

static route_counts *counts_of(lmmc_metrics *m, const char *method, const char *route) {
  for (int i = 0; i < m->route_count; i++)
    if (strcmp(m->routes[i].route, route) == 0 && strcmp(m->routes[i].method, method) == 0) return &m->routes[i];
  if (m->route_count == MOST_ROUTES) return &m->routes[0];
  route_counts *r = &m->routes[m->route_count++];
  *r = (route_counts){.method = method, .route = route, .seconds = HISTOGRAM(http_bounds)};
  return r;
}

void lmmc_metrics_request(lmmc_metrics *m, const char *method, const char *route, int status, double seconds) {
  pthread_mutex_lock(&m->lock);
  route_counts *r = counts_of(m, method, route ? route : "none");
  int i = 0;
  while (i < r->status_count && r->statuses[i].status != status) i++;
  if (i == MOST_STATUSES) i--;  // more than the server has
  if (i == r->status_count) r->statuses[r->status_count++].status = status;
  r->statuses[i].count++;
  lmmc_histogram_add(&r->seconds, seconds);
  pthread_mutex_unlock(&m->lock);
}

void lmmc_metrics_set(lmmc_metrics *m, lmmc_gauge gauge, int64_t value) {
  pthread_mutex_lock(&m->lock);
  m->gauges[gauge] = value;
  pthread_mutex_unlock(&m->lock);
}

void lmmc_metrics_refuse(lmmc_metrics *m) {
  pthread_mutex_lock(&m->lock);
  m->refused++;
  pthread_mutex_unlock(&m->lock);
}

void lmmc_metrics_token(lmmc_metrics *m, bool is_first, double seconds) {
  pthread_mutex_lock(&m->lock);
  m->tokens++;
  lmmc_histogram_add(is_first ? &m->first_token : &m->between, seconds);
  pthread_mutex_unlock(&m->lock);
}

void lmmc_metrics_answered(lmmc_metrics *m, const lmmc_answered *a) {
  const bool succeeded = a->finish == LMMC_FINISH_STOP || a->finish == LMMC_FINISH_LENGTH;
  pthread_mutex_lock(&m->lock);
  m->finishes[a->finish]++;
  lmmc_histogram_add(&m->latency, a->total);
  lmmc_histogram_add(&m->answer_lengths, (double)a->tokens);
  if (a->queued >= 0) {
    lmmc_histogram_add(&m->queued, a->queued);
    lmmc_histogram_add(&m->prompt_lengths, (double)a->prompt_tokens);
    m->prompt_tokens += (uint64_t)a->prompt_tokens;
    m->vision_tokens += (uint64_t)a->vision_tokens;
    m->shared_tokens += (uint64_t)a->shared_tokens;
    m->images_encoded += (uint64_t)a->encoded;
    // What was stopped on its way may have images that nobody looked for.
    if (succeeded) m->images_kept += (uint64_t)(a->images - a->encoded);
  }
  if (succeeded) {
    lmmc_histogram_add(&m->otel_duration[a->operation], a->total);
    if (a->first_token >= 0) lmmc_histogram_add(&m->otel_first[a->operation], a->first_token);
    if (a->tokens > 1) lmmc_histogram_add(&m->otel_token[a->operation], (a->total - a->first_token) / (double)(a->tokens - 1));
  }
  pthread_mutex_unlock(&m->lock);
}

// ---- telling

typedef struct {
  const lmmc_metrics *m;
  lmmc_text *out;
  lmmc_error *e;
  lmmc_text labels;  // with the model's name, as vLLM has it
} teller;

static bool head(const teller *t, const char *name, const char *type, const char *help) {
  return lmmc_text_format(t->out, t->e, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static bool tell_count(const teller *t, const char *name, const char *type, const char *help, uint64_t value) {
  return head(t, name, type, help) && lmmc_text_format(t->out, t->e, "%s{%s} %" PRIu64 "\n", name, t->labels.bytes, value);
}

static bool tell_histogram(const teller *t, const char *name, const char *help, const lmmc_histogram *h) {
  return head(t, name, "histogram", help) && lmmc_histogram_text(h, name, t->labels.bytes, t->out, t->e);
}

static bool tell_number(const teller *t, const char *name, const char *type, const char *help, double value) {
  return head(t, name, type, help) && lmmc_text_format(t->out, t->e, "%s %.15g\n", name, value);
}

static bool tell_counts(const teller *t) {
  static const char *const reasons[] = {
      [LMMC_FINISH_STOP] = "stop", [LMMC_FINISH_LENGTH] = "length", [LMMC_FINISH_ABORT] = "abort", [LMMC_FINISH_ERROR] = "error"};
  const lmmc_metrics *m = t->m;
  static const char gauge[] = "gauge", counter[] = "counter";
  bool done =
      tell_count(t, "vllm:num_requests_running", gauge, "Requests whose prompts are read or whose answers grow.",
                 (uint64_t)m->gauges[LMMC_GAUGE_RUNNING]) &&
      tell_count(t, "vllm:num_requests_waiting", gauge, "Requests that wait for a slot.", (uint64_t)m->gauges[LMMC_GAUGE_WAITING]) &&
      tell_count(t, "lmmc_slots", gauge, "Answers that may grow at once.", (uint64_t)m->slots) &&
      tell_count(t, "lmmc_connections", gauge, "Open connections.", (uint64_t)m->gauges[LMMC_GAUGE_CONNECTIONS]) &&
      tell_count(t, "lmmc_refused_requests_total", counter, "Requests for which the queue had no room.", m->refused) &&
      tell_count(t, "vllm:prompt_tokens_total", counter, "Tokens of prompts, those of images among them.", m->prompt_tokens) &&
      tell_count(t, "lmmc_vision_tokens_total", counter, "Tokens of prompts that images have become.", m->vision_tokens) &&
      tell_count(t, "vllm:generation_tokens_total", counter, "Tokens of answers.", m->tokens) &&
      tell_count(t, "vllm:prefix_cache_queries_total", counter, "Tokens of prompts whose keys and values were looked for.",
                 m->prompt_tokens) &&
      tell_count(t, "vllm:prefix_cache_hits_total", counter, "Tokens of prompts whose keys and values were there.", m->shared_tokens) &&
      tell_count(t, "lmmc_image_cache_hits_total", counter, "Images of answers that did not go through the tower.", m->images_kept) &&
      tell_count(t, "lmmc_image_cache_misses_total", counter, "Images that went through the tower.", m->images_encoded) &&
      head(t, "vllm:request_success_total", counter, "Answers that are over, by what ended them.");
  for (int i = 0; done && i < LMMC_FINISHES; i++)
    done = lmmc_text_format(t->out, t->e, "vllm:request_success_total{%s,finished_reason=\"%s\"} %" PRIu64 "\n", t->labels.bytes,
                            reasons[i], m->finishes[i]);
  return done;
}

static bool tell_times(const teller *t) {
  const lmmc_metrics *m = t->m;
  return tell_histogram(t, "vllm:time_to_first_token_seconds", "From a request's arrival to the first token.", &m->first_token) &&
         tell_histogram(t, "vllm:inter_token_latency_seconds", "From a token to the next of the same answer.", &m->between) &&
         tell_histogram(t, "vllm:e2e_request_latency_seconds", "From a request's arrival to its answer's end.", &m->latency) &&
         tell_histogram(t, "vllm:request_queue_time_seconds", "From being queued to the begin of the prompt.", &m->queued) &&
         tell_histogram(t, "vllm:request_prompt_tokens", "Tokens of a prompt.", &m->prompt_lengths) &&
         tell_histogram(t, "vllm:request_generation_tokens", "Tokens of an answer.", &m->answer_lengths);
}

static bool tell_otel(const teller *t, const char *name, const char *help, const lmmc_histogram *all) {
  static const char *const operations[] = {[LMMC_OPERATION_CHAT] = "chat", [LMMC_OPERATION_TEXT] = "text_completion"};
  bool done = head(t, name, "histogram", help);
  for (int i = 0; done && i < LMMC_OPERATIONS; i++) {
    lmmc_text labels = {0};
    done = lmmc_text_format(&labels, t->e, "gen_ai_operation_name=\"%s\",gen_ai_provider_name=\"lmmc\",gen_ai_request_model=\"%s\"",
                            operations[i], t->m->model) &&
           lmmc_histogram_text(&all[i], name, labels.bytes, t->out, t->e);
    lmmc_text_free(&labels);
  }
  return done;
}

static bool tell_routes(const teller *t) {
  const lmmc_metrics *m = t->m;
  bool done = head(t, "http_requests_total", "counter", "Requests, by route and status.");
  for (int i = 0; i < m->route_count; i++)
    for (int k = 0; done && k < m->routes[i].status_count; k++)
      done = lmmc_text_format(t->out, t->e, "http_requests_total{method=\"%s\",handler=\"%s\",status=\"%d\"} %" PRIu64 "\n",
                              m->routes[i].method, m->routes[i].route, m->routes[i].statuses[k].status, m->routes[i].statuses[k].count);
  done = done && head(t, "http_request_duration_seconds", "histogram", "From a request's arrival to the last byte of its answer.");
  for (int i = 0; done && i < m->route_count; i++) {
    char labels[256];
    if (m->routes[i].status_count == 0) continue;
    snprintf(labels, sizeof labels, "method=\"%s\",handler=\"%s\"", m->routes[i].method, m->routes[i].route);
    done = lmmc_histogram_text(&m->routes[i].seconds, "http_request_duration_seconds", labels, t->out, t->e);
  }
  return done;
}

// Names are those of Prometheus's own client libraries.
static bool tell_process(const teller *t) {
  struct timespec cpu;
  char text[128];
  unsigned long long pages, resident;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
  const ssize_t bytes = t->m->memory < 0 ? -1 : pread(t->m->memory, text, sizeof text - 1, 0);
  if (bytes > 0) text[bytes] = 0;
  if (bytes > 0 && sscanf(text, "%llu %llu", &pages, &resident) == 2 &&
      !tell_number(t, "process_resident_memory_bytes", "gauge", "Memory that is resident, pages of the program's file among it.",
                   (double)resident * (double)sysconf(_SC_PAGESIZE)))
    return false;
  return tell_number(t, "process_cpu_seconds_total", "counter", "Time that all threads have run.",
                     (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9) &&
         tell_number(t, "process_start_time_seconds", "gauge", "When the server began, in seconds since 1970.", t->m->started) &&
         head(t, "lmmc_build_info", "gauge", "The compiler that made the program, and the program.") &&
         lmmc_text_format(t->out, t->e, "lmmc_build_info{version=\"%s\",%s} 1\n", t->m->version, t->labels.bytes);
}

bool lmmc_metrics_text(lmmc_metrics *m, lmmc_text *out, lmmc_error *e) {
  teller t = {.m = m, .out = out, .e = e};
  pthread_mutex_lock(&m->lock);
  const bool done = lmmc_text_format(&t.labels, e, "model_name=\"%s\"", m->model) && tell_counts(&t) && tell_times(&t) &&
                    tell_otel(&t, "gen_ai_server_request_duration_seconds", "Time of an answer.", m->otel_duration) &&
                    tell_otel(&t, "gen_ai_server_time_to_first_token_seconds", "Time to the first token.", m->otel_first) &&
                    tell_otel(&t, "gen_ai_server_time_per_output_token_seconds", "Time of a token behind the first, a mean of its answer.",
                              m->otel_token) &&
                    tell_routes(&t) && tell_process(&t);
  pthread_mutex_unlock(&m->lock);
  lmmc_text_free(&t.labels);
  return done;
}
