// `--perplexity` against the sum of its definition.
#define _GNU_SOURCE
#include <math.h>

#include "cli_fixture.h"

// The sum over the second half of each window, in the way of the definition: every token's state from the window's start.
static void perplexity(void) {
  const char *path = in_folder("text");
  FILE *file = fopen(path, "w");
  lmmc_text text = {0};
  for (int i = 0; i < 40; i++) lmmc_text_format(&text, NULL, "The picture %d has</s>\n", i * i);
  if (!file || fwrite(text.bytes, 1, text.count, file) != text.count || fclose(file) != 0) abort();
  lmmc_ids ids = {0};
  lmmc_ids_append(&ids, 1, NULL);
  lmmc_tokenize(&tokenizer, text.bytes, text.count, &ids, NULL);
  static const int windows[] = {4, 15, 32, 96};
  for (int k = 0; k < 4; k++) {
    int window = windows[k];
    double sum = 0, squares = 0;
    int64_t count = 0, number = (int64_t)ids.count / window;
    for (int64_t start = 0; start < number * window; start += window) {
      fake_state state = {0};
      for (int i = 0; i < window - 1; i++) {
        state = fake_token(state, i == 0 ? 1 : ids.values[start + i]);
        if (i < window / 2) continue;
        double total = 0;
        for (int v = 0; v < FAKE_VOCABULARY; v++) total += exp((double)fake_logit(state, v));
        double nll = log(total) - (double)fake_logit(state, ids.values[start + i + 1]);
        sum += nll, squares += nll * nll, count++;
      }
    }
    double mean = sum / (double)count, error = sqrt((squares / (double)count - mean * mean) / (double)(count - 1));
    char typed[16];
    snprintf(typed, sizeof typed, "%d", window);
    result r = run(program, "--perplexity", path, "--window", typed, "--json");
    json *v = json_parse(r.out);
    CHECK(r.code == 0 && v, "%d: '%s'", window, r.err);
    if (!v) continue;
    CHECK(fabs(json_get(v, "nll")->number / mean - 1) < 1e-11, "%d: '%s', wanted %.12g", window, r.out, mean);
    CHECK(fabs(json_get(v, "perplexity")->number / exp(mean) - 1) < 1e-8, "%d: '%s'", window, r.out);
    CHECK(fabs(json_get(v, "standard_error")->number / (exp(mean) * error) - 1) < 1e-3, "%d: '%s'", window, r.out);
    CHECK((int64_t)json_get(v, "tokens")->number == count && (int64_t)json_get(v, "windows")->number == number, "%d: '%s'", window, r.out);
  }
  result r = run(program, "--perplexity", path, "--window", "32");
  CHECK(r.code == 0 && strncmp(r.out, "perplexity ", 11) == 0 && strstr(r.out, " windows of 32, "), "'%s'", r.out);
  setenv("FAKE_LOGIT", "0 nan", 1);
  CHECK_ERROR(run(program, "--perplexity", path, "--window", "32"), 1, "error: the logits are not numbers, so there is no perplexity\n");
  unsetenv("FAKE_LOGIT");
  lmmc_ids_free(&ids);
  lmmc_text_free(&text);
}

RUN_TESTS(perplexity)
