#include "openai.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "openai_forms.h"
#include "serve/exchange/server.h"

#define FIRST(text) (text), sizeof(text) - 1

static bool append_string(lmmc_text *out, const char *text, lmmc_error *e) { return lmmc_json_string(out, text, strlen(text), e); }

// ---- errors

bool lmmc_openai_fault(const lmmc_fault *f, bool in_stream, lmmc_text *out) {
  lmmc_error e;
  return lmmc_text_format(out, &e, "%s{\"error\": {\"message\": ", in_stream ? "data: " : "") && append_string(out, f->message, &e) &&
         lmmc_text_format(out, &e, ", \"type\": \"%s\", \"param\": ", lmmc_fault_type(f->status)) &&
         (f->param[0] ? append_string(out, f->param, &e) : lmmc_text_append(out, FIRST("null"), &e)) &&
         lmmc_text_format(out, &e, ", \"code\": ") &&
         (f->code ? append_string(out, f->code, &e) : lmmc_text_append(out, FIRST("null"), &e)) &&
         lmmc_text_format(out, &e, in_stream ? "}}\n\n" : "}}\n");
}

// ---- log probabilities

static bool append_log(lmmc_text *out, float value, lmmc_error *e) {
  // JSON knows no infinity; OpenAI's own is as small.
  return lmmc_text_format(out, e, "%.6f", isinf(value) ? -9999.0 : (double)value);
}

// "token", "logprob" and "bytes" of one token.
static bool append_token(const lmmc_exchange *x, int32_t id, float value, lmmc_text *out, lmmc_error *e) {
  lmmc_text bytes = {0};
  bool done = lmmc_told_bytes(x->server, id, &bytes) && lmmc_text_format(out, e, "{\"token\": ") &&
              lmmc_json_string(out, bytes.bytes ? bytes.bytes : "", bytes.count, e) && lmmc_text_format(out, e, ", \"logprob\": ") &&
              append_log(out, value, e) && lmmc_text_format(out, e, ", \"bytes\": [");
  for (size_t i = 0; done && i < bytes.count; i++)
    done = lmmc_text_format(out, e, "%s%u", i ? ", " : "", (unsigned)(unsigned char)bytes.bytes[i]);
  lmmc_text_free(&bytes);
  return done && lmmc_text_append(out, "]", 1, e);
}

static bool append_chat_logs(const lmmc_exchange *x, const lmmc_grown *g, lmmc_text *out, lmmc_error *e) {
  const size_t top = (size_t)x->asked.top;
  bool done = lmmc_text_format(out, e, ", \"logprobs\": {\"content\": [");
  for (size_t i = 0; done && i < g->token_count; i++) {
    done = lmmc_text_format(out, e, "%s", i ? ", " : "") && append_token(x, g->tokens[i].id, g->tokens[i].value, out, e) &&
           lmmc_text_format(out, e, ", \"top_logprobs\": [");
    for (size_t k = 0; done && k < top && i * top + k < g->top_count; k++) {
      const lmmc_log_probability *p = &g->top[i * top + k];
      done = lmmc_text_format(out, e, "%s", k ? ", " : "") && append_token(x, p->id, p->value, out, e) && lmmc_text_append(out, "}", 1, e);
    }
    done = done && lmmc_text_append(out, "]}", 2, e);
  }
  return done && lmmc_text_format(out, e, "], \"refusal\": null}");
}

static bool append_token_text(const lmmc_exchange *x, int32_t id, lmmc_text *out, lmmc_error *e) {
  lmmc_text bytes = {0};
  const bool done = lmmc_told_bytes(x->server, id, &bytes) && lmmc_json_string(out, bytes.bytes ? bytes.bytes : "", bytes.count, e);
  lmmc_text_free(&bytes);
  return done;
}

// The older form: a list for each thing that is told of tokens. `before`: bytes of the answer that were sent already.
static bool append_completion_logs(const lmmc_exchange *x, const lmmc_grown *g, size_t before, lmmc_text *out, lmmc_error *e) {
  const size_t top = (size_t)x->asked.top;
  bool done = lmmc_text_format(out, e, ", \"logprobs\": {\"tokens\": [");
  for (size_t i = 0; done && i < g->token_count; i++)
    done = lmmc_text_format(out, e, "%s", i ? ", " : "") && append_token_text(x, g->tokens[i].id, out, e);
  done = done && lmmc_text_format(out, e, "], \"token_logprobs\": [");
  for (size_t i = 0; done && i < g->token_count; i++)
    done = lmmc_text_format(out, e, "%s", i ? ", " : "") && append_log(out, g->tokens[i].value, e);
  done = done && lmmc_text_format(out, e, "], \"top_logprobs\": [");
  for (size_t i = 0; done && i < g->token_count; i++) {
    done = lmmc_text_format(out, e, "%s{", i ? ", " : "");
    for (size_t k = 0; done && k < top && i * top + k < g->top_count; k++)
      done = lmmc_text_format(out, e, "%s", k ? ", " : "") && append_token_text(x, g->top[i * top + k].id, out, e) &&
             lmmc_text_format(out, e, ": ") && append_log(out, g->top[i * top + k].value, e);
    done = done && lmmc_text_append(out, "}", 1, e);
  }
  done = done && lmmc_text_format(out, e, "], \"text_offset\": [");
  for (size_t i = 0; done && i < g->token_count; i++)
    done = lmmc_text_format(out, e, "%s%zu", i ? ", " : "", before + g->tokens[i].text_at);
  return done && lmmc_text_format(out, e, "]}");
}

// ---- replies

static bool is_chat(const lmmc_exchange *x) { return x->format == &lmmc_openai_chat; }

static bool append_head(const lmmc_exchange *x, bool chunk, lmmc_text *out, lmmc_error *e) {
  return lmmc_text_format(
             out, e, "{\"id\": \"%s-%s\", \"object\": \"%s%s\", \"created\": %lld, \"model\": ", is_chat(x) ? "chatcmpl" : "cmpl", x->id,
             is_chat(x) ? "chat.completion" : "text_completion", chunk && is_chat(x) ? ".chunk" : "", (long long)x->created) &&
         append_string(out, x->server->settings->model_id, e);
}

static const char *reason(const lmmc_told_answer *a) { return a->stopped ? "stop" : "length"; }

// The counts of all answers: their prompt is counted once, as it is read once.
static bool append_usage(const lmmc_exchange *x, lmmc_text *out, lmmc_error *e) {
  const lmmc_told_answer *first = &x->answers[0];
  const int64_t prompt = lmmc_all_prompt_tokens(first);
  int64_t tokens = 0;
  for (int32_t i = 0; i < x->asked.answers; i++) tokens += x->answers[i].tokens;
  const struct {
    const char *name;
    double seconds;
  } times[] = {
      {"queue", first->begun_at - x->began},
      {"preprocess", first->preprocess},
      {"vision", first->vision},
      {"project", first->project},
      {"prefill", first->prefill},
      {"decode", first->decode},
      {"time_to_first_token", first->prompt_at > 0 ? first->prompt_at - x->began : 0},
  };
  bool done =
      lmmc_text_format(out, e,
                       ", \"usage\": {\"prompt_tokens\": %" PRId64 ", \"completion_tokens\": %" PRId64 ", \"total_tokens\": %" PRId64
                       ", \"prompt_tokens_details\": {\"cached_tokens\": %" PRId64 ", \"image_tokens\": %" PRId64 "}}, \"timings\": {",
                       prompt, tokens, prompt + tokens, first->shared_tokens, first->visual_tokens);
  for (size_t i = 0; done && i < sizeof times / sizeof *times; i++)
    done = lmmc_text_format(out, e, "%s\"%s\": %.3f", i ? ", " : "", times[i].name, times[i].seconds * 1e3);
  if (done && first->tokens > 1 && first->decode > 0)
    done = lmmc_text_format(out, e, ", \"tokens_per_second\": %.3f", (double)(first->tokens - 1) / first->decode);
  return done && lmmc_text_append(out, "}", 1, e);
}

// The log probabilities of one answer, or of what it has grown by; NULL: nothing more.
static bool append_logs(const lmmc_exchange *x, const lmmc_grown *g, size_t before, lmmc_text *out, lmmc_error *e) {
  if (x->asked.top < 0 || !g) return lmmc_text_format(out, e, ", \"logprobs\": null");
  return is_chat(x) ? append_chat_logs(x, g, out, e) : append_completion_logs(x, g, before, out, e);
}

static const char *bytes_of(const lmmc_text *t) { return t->bytes ? t->bytes : ""; }

static bool whole(lmmc_exchange *x, lmmc_text *out) {
  lmmc_error e;
  bool done = append_head(x, false, out, &e) && lmmc_text_format(out, &e, ", \"choices\": [");
  for (int32_t i = 0; done && i < x->asked.answers; i++) {
    const lmmc_told_answer *a = &x->answers[i];
    done = lmmc_text_format(out, &e, "%s{\"index\": %" PRId32 ", %s", i ? ", " : "", i,
                            is_chat(x) ? "\"message\": {\"role\": \"assistant\", \"content\": " : "\"text\": ") &&
           lmmc_json_string(out, bytes_of(&a->all.text), a->all.text.count, &e) &&
           lmmc_text_format(out, &e, "%s", is_chat(x) ? ", \"refusal\": null}" : "") && append_logs(x, &a->all, 0, out, &e) &&
           lmmc_text_format(out, &e, ", \"finish_reason\": \"%s\"}", reason(a));
  }
  return done && lmmc_text_append(out, "]", 1, &e) && append_usage(x, out, &e) && lmmc_text_append(out, "}\n", 2, &e);
}

// A chunk of one choice. `text`: what the answer has grown by; NULL: nothing. `finish`: why it has ended; NULL: it goes on.
static bool append_chunk(lmmc_exchange *x, int32_t answer, const lmmc_text *text, const lmmc_grown *logs, size_t before, const char *finish,
                         lmmc_text *out) {
  lmmc_error e;
  lmmc_told_answer *a = &x->answers[answer];
  bool done = lmmc_text_append(out, FIRST("data: "), &e) && append_head(x, true, out, &e) &&
              lmmc_text_format(out, &e, ", \"choices\": [{\"index\": %" PRId32 ", ", answer);
  if (done && is_chat(x)) {
    done = lmmc_text_format(out, &e, "\"delta\": {%s", a->begun ? "" : "\"role\": \"assistant\"");
    if (done && text)
      done = lmmc_text_format(out, &e, "%s\"content\": ", a->begun ? "" : ", ") && lmmc_json_string(out, bytes_of(text), text->count, &e);
    done = done && lmmc_text_append(out, "}", 1, &e);
  } else if (done) {
    done = lmmc_text_format(out, &e, "\"text\": ") && lmmc_json_string(out, text ? bytes_of(text) : "", text ? text->count : 0, &e);
  }
  a->begun = true;
  done = done && append_logs(x, logs, before, out, &e) && lmmc_text_format(out, &e, ", \"finish_reason\": ") &&
         lmmc_text_format(out, &e, finish ? "\"%s\"}]" : "null}]", finish);
  return done && lmmc_text_format(out, &e, x->asked.streams_usage ? ", \"usage\": null}\n\n" : "}\n\n");
}

static bool piece(lmmc_exchange *x, int32_t answer, const lmmc_grown *grown, lmmc_text *out) {
  const bool has_logs = x->asked.top >= 0 && grown->token_count > 0;
  if (grown->text.count == 0 && !has_logs) return true;
  return append_chunk(x, answer, &grown->text, has_logs ? grown : NULL, x->answers[answer].text_bytes, NULL, out);
}

static bool end(lmmc_exchange *x, int32_t answer, lmmc_text *out) {
  return append_chunk(x, answer, NULL, NULL, 0, reason(&x->answers[answer]), out);
}

static bool finish(lmmc_exchange *x, lmmc_text *out) {
  lmmc_error e;
  return (!x->asked.streams_usage || (lmmc_text_append(out, FIRST("data: "), &e) && append_head(x, true, out, &e) &&
                                      lmmc_text_append(out, FIRST(", \"choices\": []"), &e) && append_usage(x, out, &e) &&
                                      lmmc_text_append(out, FIRST("}\n\n"), &e))) &&
         lmmc_text_append(out, FIRST("data: [DONE]\n\n"), &e);
}

const lmmc_format lmmc_openai_chat = {.name = "chat.completions",
                                      .stream_type = "text/event-stream",
                                      .read = lmmc_openai_read_chat,
                                      .piece = piece,
                                      .end = end,
                                      .finish = finish,
                                      .whole = whole};
const lmmc_format lmmc_openai_completion = {.name = "completions",
                                            .stream_type = "text/event-stream",
                                            .read = lmmc_openai_read_completion,
                                            .piece = piece,
                                            .end = end,
                                            .finish = finish,
                                            .whole = whole};

// ---- models

bool lmmc_openai_models(lmmc_server *s, const char *rest, lmmc_instant *out, lmmc_fault *f) {
  lmmc_error e;
  const char *name = s->settings->model_id;
  if (rest && strcmp(rest, name) != 0)
    return lmmc_refuse(f, 404, "model_not_found", NULL, "there is no model '%s', this server has '%s'", rest, name);
  return lmmc_text_format(&out->body, &e, rest ? "%s" : "{\"object\": \"list\", \"data\": [%s", "{\"id\": ") &&
         append_string(&out->body, name, &e) &&
         lmmc_text_format(&out->body, &e,
                          ", \"object\": \"model\", \"created\": %lld, \"owned_by\": \"lmmc\", \"max_model_len\": %" PRId32 "}%s\n",
                          (long long)s->started, s->model->context, rest ? "" : "]}");
}
