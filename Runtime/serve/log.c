#include "log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "serve/exchange/server.h"

static bool append_tokens(lmmc_text *out, const lmmc_exchange *x, bool is_json, lmmc_error *e) {
  if (!x->answers || !x->answers[0].ended) return true;
  int64_t tokens = 0;
  for (int32_t i = 0; i < x->asked.answers; i++) tokens += x->answers[i].tokens;
  const lmmc_told_answer *first = &x->answers[0];
  const double wait = first->prompt_at > 0 ? first->prompt_at - x->began : 0;
  return lmmc_text_format(out, e,
                          is_json ? ", \"prompt_tokens\": %" PRId64 ", \"image_tokens\": %" PRId64 ", \"completion_tokens\": %" PRId64
                                    ", \"time_to_first_token\": %.3f"
                                  : ", %" PRId64 " tokens of prompt (%" PRId64 " of images), %" PRId64 " of answer, first after %.3f s",
                          lmmc_all_prompt_tokens(first), first->visual_tokens, tokens, wait);
}

void lmmc_log_exchange(const lmmc_exchange *x, double seconds) {
  lmmc_text out = {0};
  lmmc_error e;
  char when[32];
  struct tm parts;
  const time_t now = time(NULL);
  gmtime_r(&now, &parts);
  strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &parts);
  bool done;
  if (x->server->settings->logs_json) {
    done = lmmc_text_format(&out, &e, "{\"time\": \"%s\", \"id\": \"%s\", \"client\": ", when, x->id) &&
           lmmc_json_string(&out, x->peer, strlen(x->peer), &e) &&
           lmmc_text_format(&out, &e, ", \"method\": \"%s\", \"path\": ", x->method) &&
           lmmc_json_string(&out, x->asked_path, strlen(x->asked_path), &e) &&
           lmmc_text_format(&out, &e, ", \"status\": %d, \"bytes\": %" PRIu64 ", \"seconds\": %.3f", x->status, x->sent, seconds) &&
           append_tokens(&out, x, true, &e) && lmmc_text_format(&out, &e, "}\n");
  } else {
    char status[16];
    snprintf(status, sizeof status, x->status ? "%d" : "gone", x->status);
    done = lmmc_text_format(&out, &e, "%s %s %s %s %s %.3f s, %" PRIu64 " bytes", when, x->peer, x->method, x->asked_path, status, seconds,
                            x->sent) &&
           append_tokens(&out, x, false, &e) && lmmc_text_format(&out, &e, " %s\n", x->id);
  }
  if (done) lmmc_write(STDERR_FILENO, out.bytes, out.count, "standard error", &e);
  lmmc_text_free(&out);
}
