// Metrics: what is counted is told, in text that Prometheus reads. tests: FILE, where all of it is written for other readers; none: only checks.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../check.h"
#include "serve/metrics/histogram.h"
#include "serve/metrics/metrics.h"

static char *told(lmmc_metrics *m) {
  lmmc_text out = {0};
  lmmc_error e;
  CHECK(lmmc_metrics_text(m, &out, &e) && lmmc_text_append(&out, "", 1, &e), "%s", e.message);
  return out.bytes;
}

static bool has(const char *text, const char *line) {
  const size_t length = strlen(line);
  for (const char *at = text; (at = strstr(at, line)); at++)
    if ((at == text || at[-1] == '\n') && at[length] == '\n') return true;
  return false;
}

#define HAS(text, line) CHECK(has(text, line), "%s", line)

static void test_histogram(void) {
  static const double bounds[] = {0.5, 2};
  lmmc_histogram h = {.bounds = bounds, .bound_count = 2};
  const double values[] = {0.5, 0.25, 1, 3, -1, 0.0 / 0.0 * -1};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) lmmc_histogram_add(&h, values[i]);
  lmmc_text out = {0};
  lmmc_error e;
  CHECK(lmmc_histogram_text(&h, "x", "a=\"b\"", &out, &e) && lmmc_text_append(&out, "", 1, &e), "%s", e.message);
  CHECK(strcmp(out.bytes,
               "x_bucket{a=\"b\",le=\"0.5\"} 4\nx_bucket{a=\"b\",le=\"2\"} 5\nx_bucket{a=\"b\",le=\"+Inf\"} 6\nx_sum{a=\"b\"} 4.75\n"
               "x_count{a=\"b\"} 6\n") == 0,
        "%s", out.bytes);
  lmmc_text_free(&out);
}

static void test_counts(const char *path) {
  lmmc_error e;
  lmmc_metrics *m = lmmc_metrics_open("a \"model\" \\ \x1b \xff", "1.2.3", 4, &e);
  CHECK(m, "%s", e.message);
  lmmc_metrics_request(m, "POST", "/v1/chat/completions", 200, 0.02);
  lmmc_metrics_request(m, "POST", "/v1/chat/completions", 200, 0.2);
  lmmc_metrics_request(m, "POST", "/v1/chat/completions", 400, 0);
  lmmc_metrics_request(m, "GET", NULL, 404, 0);
  lmmc_metrics_set(m, LMMC_GAUGE_RUNNING, 3);
  lmmc_metrics_set(m, LMMC_GAUGE_WAITING, 2);
  lmmc_metrics_refuse(m);
  for (int i = 0; i < 3; i++) lmmc_metrics_token(m, i == 0, i == 0 ? 0.03 : 0.0003);
  lmmc_answered a = {.finish = LMMC_FINISH_STOP,
                     .prompt_tokens = 20,
                     .vision_tokens = 8,
                     .shared_tokens = 5,
                     .tokens = 3,
                     .images = 3,
                     .encoded = 1,
                     .queued = 0.01,
                     .first_token = 0.03,
                     .total = 0.05};
  lmmc_metrics_answered(m, &a);
  a = (lmmc_answered){.finish = LMMC_FINISH_ABORT, .prompt_tokens = 7, .images = 1, .queued = -1, .first_token = -1, .total = 1};
  lmmc_metrics_answered(m, &a);
  char *text = told(m);
#define MODEL "model_name=\"a \\\"model\\\" \\\\ \xEF\xBF\xBD \xEF\xBF\xBD\""
  HAS(text, "http_requests_total{method=\"POST\",handler=\"/v1/chat/completions\",status=\"200\"} 2");
  HAS(text, "http_requests_total{method=\"POST\",handler=\"/v1/chat/completions\",status=\"400\"} 1");
  HAS(text, "http_requests_total{method=\"GET\",handler=\"none\",status=\"404\"} 1");
  HAS(text, "http_request_duration_seconds_bucket{method=\"POST\",handler=\"/v1/chat/completions\",le=\"0.025\"} 2");
  HAS(text, "vllm:num_requests_running{" MODEL "} 3");
  HAS(text, "vllm:num_requests_waiting{" MODEL "} 2");
  HAS(text, "lmmc_slots{" MODEL "} 4");
  HAS(text, "lmmc_refused_requests_total{" MODEL "} 1");
  HAS(text, "vllm:prompt_tokens_total{" MODEL "} 20");
  HAS(text, "lmmc_vision_tokens_total{" MODEL "} 8");
  HAS(text, "vllm:generation_tokens_total{" MODEL "} 3");
  HAS(text, "vllm:prefix_cache_hits_total{" MODEL "} 5");
  HAS(text, "lmmc_image_cache_hits_total{" MODEL "} 2");
  HAS(text, "lmmc_image_cache_misses_total{" MODEL "} 1");
  HAS(text, "vllm:request_success_total{" MODEL ",finished_reason=\"stop\"} 1");
  HAS(text, "vllm:request_success_total{" MODEL ",finished_reason=\"abort\"} 1");
  HAS(text, "vllm:time_to_first_token_seconds_count{" MODEL "} 1");
  HAS(text, "vllm:inter_token_latency_seconds_bucket{" MODEL ",le=\"0.00025\"} 0");
  HAS(text, "vllm:inter_token_latency_seconds_bucket{" MODEL ",le=\"0.0005\"} 2");
  HAS(text, "vllm:e2e_request_latency_seconds_count{" MODEL "} 2");
  HAS(text, "vllm:request_queue_time_seconds_count{" MODEL "} 1");
  const char *resident = strstr(text, "\nprocess_resident_memory_bytes ");
  CHECK(resident && atof(resident + 31) > 1e5, "%s", resident ? resident : "no memory");
  FILE *f = path ? fopen(path, "w") : NULL;
  if (f) fputs(text, f), fclose(f);
  free(text);
  lmmc_metrics_close(m);
}

// What strangers ask for cannot make them grow.
static void test_bounds(void) {
  lmmc_error e;
  lmmc_metrics *m = lmmc_metrics_open("m", "1", 1, &e);
  static char routes[200][16];
  for (int i = 0; i < 200; i++) {
    snprintf(routes[i], sizeof routes[i], "/r%d", i);
    lmmc_metrics_request(m, "GET", routes[i], 200 + i, 0);
    lmmc_metrics_request(m, "GET", "/same", 200 + i, 0);
  }
  char *text = told(m);
  int lines = 0;
  for (const char *at = text; (at = strstr(at, "\nhttp_requests_total{")); at++) lines++;
  CHECK(lines <= 96 + 2 * 16, "%d lines", lines);
  free(text);
  lmmc_metrics_close(m);
}

static void *count(void *context) {
  for (int i = 0; i < 20000; i++) {
    lmmc_metrics_token(context, i == 0, 1e-3);
    lmmc_metrics_request(context, "GET", "/health", 200, 1e-3);
    if (i % 1000 != 0) continue;
    lmmc_text out = {0};
    (void)!lmmc_metrics_text(context, &out, NULL);
    lmmc_text_free(&out);
  }
  return NULL;
}

static void test_threads(void) {
  lmmc_error e;
  lmmc_metrics *m = lmmc_metrics_open("m", "1", 1, &e);
  pthread_t threads[3];
  for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, count, m);
  for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
  char *text = told(m);
  HAS(text, "vllm:generation_tokens_total{model_name=\"m\"} 60000");
  HAS(text, "http_requests_total{method=\"GET\",handler=\"/health\",status=\"200\"} 60000");
  free(text);
  lmmc_metrics_close(m);
}

int main(int argc, char **argv) {
  test_histogram();
  test_counts(argc > 1 ? argv[1] : NULL);
  test_bounds();
  test_threads();
  return check_report();
}
