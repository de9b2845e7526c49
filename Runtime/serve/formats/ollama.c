#include "ollama.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "serve/exchange/server.h"
#include "system/threads.h"

// ---- beginnings

bool lmmc_ollama_time(const struct timespec *at, lmmc_text *out) {
  struct tm parts;
  char text[32];
  lmmc_error e;
  if (!gmtime_r(&at->tv_sec, &parts) || strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts) == 0) return false;
  return lmmc_text_format(out, &e, "\"%s.%06ldZ\"", text, at->tv_nsec / 1000);
}

bool lmmc_ollama_name(const lmmc_server *s, lmmc_text *out) {
  const char *id = s->settings->model_id;
  lmmc_text name = {0};
  lmmc_error e;
  const bool done =
      lmmc_text_format(&name, &e, "%s%s", id, strchr(id, ':') ? "" : ":latest") && lmmc_json_string(out, name.bytes, name.count, &e);
  lmmc_text_free(&name);
  return done;
}

bool lmmc_ollama_head(const lmmc_exchange *x, lmmc_text *out) {
  struct timespec now;
  lmmc_error e;
  clock_gettime(CLOCK_REALTIME, &now);
  return lmmc_text_format(out, &e, "{\"model\": ") && lmmc_ollama_name(x->server, out) && lmmc_text_format(out, &e, ", \"created_at\": ") &&
         lmmc_ollama_time(&now, out) && lmmc_text_format(out, &e, ", ");
}

// ---- what was said

// The bytes of a token need not be characters.
static bool append_token(const lmmc_exchange *x, int32_t id, float value, lmmc_text *out) {
  lmmc_text bytes = {0};
  lmmc_error e;
  bool done = lmmc_told_bytes(x->server, id, &bytes) && lmmc_text_format(out, &e, "\"token\": ") &&
              lmmc_json_string(out, bytes.bytes, bytes.count, &e);
  // The logarithm of 0 is no number of JSON; one that is as good is.
  done = done && lmmc_text_format(out, &e, ", \"logprob\": %.7g, \"bytes\": [", value > -9999 ? (double)value : -9999);
  for (size_t i = 0; done && i < bytes.count; i++) done = lmmc_text_format(out, &e, "%s%d", i ? ", " : "", (unsigned char)bytes.bytes[i]);
  lmmc_text_free(&bytes);
  return done && lmmc_text_append(out, "]", 1, &e);
}

static bool append_probabilities(const lmmc_exchange *x, const lmmc_grown *g, lmmc_text *out) {
  const size_t top = x->asked.top > 0 ? (size_t)x->asked.top : 0;
  lmmc_error e;
  bool done = lmmc_text_format(out, &e, ", \"logprobs\": [");
  for (size_t i = 0; done && i < g->token_count; i++) {
    done = lmmc_text_format(out, &e, "%s{", i ? ", " : "") && append_token(x, g->tokens[i].id, g->tokens[i].value, out);
    if (done && top > 0) done = lmmc_text_format(out, &e, ", \"top_logprobs\": [");
    for (size_t k = 0; done && k < top && i * top + k < g->top_count; k++) {
      const lmmc_log_probability *one = &g->top[i * top + k];
      done =
          lmmc_text_format(out, &e, "%s{", k ? ", " : "") && append_token(x, one->id, one->value, out) && lmmc_text_append(out, "}", 1, &e);
    }
    done = done && lmmc_text_format(out, &e, "%s}", top > 0 ? "]" : "");
  }
  return done && lmmc_text_append(out, "]", 1, &e);
}

// The member that has the text of an answer or of a part.
static bool append_said(const lmmc_exchange *x, const lmmc_grown *g, lmmc_text *out) {
  const bool chats = x->format == &lmmc_ollama_chat;
  lmmc_error e;
  return lmmc_text_format(out, &e, chats ? "\"message\": {\"role\": \"assistant\", \"content\": " : "\"response\": ") &&
         lmmc_json_string(out, g->text.count ? g->text.bytes : "", g->text.count, &e) && (!chats || lmmc_text_append(out, "}", 1, &e)) &&
         (x->asked.top < 0 || g->token_count == 0 || append_probabilities(x, g, out));
}

// What is known when all was said, and the end of the object. Nothing was loaded for it.
static bool append_end(const lmmc_exchange *x, lmmc_text *out) {
  const lmmc_told_answer *a = &x->answers[0];
  const double total = lmmc_clock() - x->began, prompt = a->prompt_at > a->begun_at ? a->prompt_at - a->begun_at : 0;
  lmmc_error e;
  return lmmc_text_format(out, &e,
                          ", \"done\": true, \"done_reason\": \"%s\", \"total_duration\": %" PRId64
                          ", \"load_duration\": 0, \"prompt_eval_count\": %" PRId64 ", \"prompt_eval_duration\": %" PRId64
                          ", \"eval_count\": %" PRId64 ", \"eval_duration\": %" PRId64 "}\n",
                          a->stopped ? "stop" : "length", (int64_t)(total * 1e9), lmmc_all_prompt_tokens(a), (int64_t)(prompt * 1e9),
                          a->tokens, (int64_t)(a->decode * 1e9));
}

static bool write_piece(lmmc_exchange *x, int32_t answer, const lmmc_grown *grown, lmmc_text *out) {
  lmmc_error e;
  (void)answer;
  if (grown->text.count == 0 && (x->asked.top < 0 || grown->token_count == 0)) return true;
  return lmmc_ollama_head(x, out) && append_said(x, grown, out) && lmmc_text_format(out, &e, ", \"done\": false}\n");
}

static bool write_nothing(lmmc_exchange *x, int32_t answer, lmmc_text *out) {
  (void)x, (void)answer, (void)out;
  return true;
}

static bool write_finish(lmmc_exchange *x, lmmc_text *out) {
  return lmmc_ollama_head(x, out) && append_said(x, &(lmmc_grown){0}, out) && append_end(x, out);
}

static bool write_whole(lmmc_exchange *x, lmmc_text *out) {
  return lmmc_ollama_head(x, out) && append_said(x, &x->answers[0].all, out) && append_end(x, out);
}

bool lmmc_ollama_fault(const lmmc_fault *f, bool in_stream, lmmc_text *out) {
  lmmc_error e;
  (void)in_stream;  // a line is an object in either case
  return lmmc_text_format(out, &e, "{\"error\": ") && lmmc_json_string(out, f->message, strlen(f->message), &e) &&
         lmmc_text_format(out, &e, "}\n");
}

const lmmc_format lmmc_ollama_chat = {.name = "ollama.chat",
                                      .stream_type = "application/x-ndjson",
                                      .read = lmmc_ollama_read_chat,
                                      .piece = write_piece,
                                      .end = write_nothing,
                                      .finish = write_finish,
                                      .whole = write_whole};
const lmmc_format lmmc_ollama_generate = {.name = "ollama.generate",
                                          .stream_type = "application/x-ndjson",
                                          .read = lmmc_ollama_read_generate,
                                          .piece = write_piece,
                                          .end = write_nothing,
                                          .finish = write_finish,
                                          .whole = write_whole};
const lmmc_format lmmc_ollama_show = {.name = "ollama.show", .read = lmmc_ollama_read_show};
