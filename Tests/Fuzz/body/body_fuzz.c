// Fuzz target: the first byte says which path a body is sent to, of OpenAI's API or Ollama's; it is read as the server reads it. What is asked
// is then what the engine takes, and the reason of a refusal is JSON again, in the form that the path's clients look for.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contract/program.h"
#include "serve/formats/ollama.h"
#include "serve/formats/openai.h"
#include "serve/exchange/server.h"
#include "system/threads.h"

#define REQUIRE(condition) ((condition) ? (void)0 : (fprintf(stderr, "%s:%d: not %s\n", __FILE__, __LINE__, #condition), abort()))

static const lmmc_format *const formats[] = {&lmmc_openai_chat, &lmmc_openai_completion, &lmmc_ollama_chat, &lmmc_ollama_generate,
                                             &lmmc_ollama_show};
enum { FORMATS = sizeof formats / sizeof *formats };

// What of the server is not about bodies.
const char *lmmc_server_info(const lmmc_server *s) { return s->model->info; }
int64_t lmmc_all_prompt_tokens(const lmmc_told_answer *a) { return a->prompt_tokens; }
bool lmmc_told_bytes(const lmmc_server *s, int32_t id, lmmc_text *out) { return s && id >= 0 && out; }
double lmmc_clock(void) { return 0; }

static bool is_within(double value, double least, double most) { return value >= least && value <= most; }

static void check_asked(const lmmc_asked *a) {
  int images = 0;
  REQUIRE(a->is_raw == (a->message_count == 0));
  for (int i = 0; i < a->message_count; i++) {
    REQUIRE(a->messages[i].role >= LMMC_SYSTEM && a->messages[i].role <= LMMC_ASSISTANT);
    REQUIRE(a->messages[i].images == 0 || a->messages[i].role == LMMC_USER);
    images += a->messages[i].images;
  }
  REQUIRE(a->message_count == 0 || images == a->image_count);
  for (int i = 0; i < a->image_count; i++) REQUIRE(a->images[i].path ? a->images[i].path[0] != '/' : a->images[i].count > 0);
  for (int i = 0; i < a->stop_count; i++) REQUIRE(a->stops[i].bytes > 0);
  for (int i = 0; i < a->sampling.bias_count; i++) REQUIRE(a->biases[i].id >= 0 && is_within((double)a->biases[i].value, -100, 100));
  REQUIRE(is_within((double)a->max_tokens, 1, INT32_MAX) && is_within(a->answers, 1, LMMC_MOST_ANSWERS));
  REQUIRE(is_within(a->top, -1, LMMC_MOST_LOG_PROBABILITIES) && (a->notation == LMMC_NO_NOTATION) == (a->structure.count == 0));
  const lmmc_sampling *s = &a->sampling;
  REQUIRE(is_within(s->temperature, 0, 100) && is_within((double)s->top_k, 0, INT32_MAX) && s->top_p > 0 && is_within(s->top_p, 0, 1));
  REQUIRE(is_within(s->min_p, 0, 1) && is_within(s->repeat_penalty, 1e-3, 1e3) && is_within(s->presence_penalty, -100, 100) &&
          is_within(s->frequency_penalty, -100, 100));
}

static void check_fault(const lmmc_fault *f, bool is_ollama) {
  lmmc_text out = {0};
  REQUIRE(f->status == 400 || (is_ollama && f->status == 404));
  REQUIRE(*f->message && !strchr(f->message, '\n'));
  REQUIRE(is_ollama ? lmmc_ollama_fault(f, false, &out) : lmmc_openai_fault(f, false, &out));
  json_t *told = json_loadb(out.bytes, out.count, 0, NULL), *error = json_object_get(told, "error");
  REQUIRE(json_is_string(is_ollama ? error : json_object_get(error, "message")));
  json_decref(told);
  lmmc_text_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const lmmc_model model = {.info = "{\"layout\": \"llava\", \"decoder\": {\"layers\": 2}}", .version = "1", .context = 64};
  static const lmmc_serve_settings settings = {.max_tokens = 9, .sampling = LMMC_GREEDY, .model_id = "m", .media = "/pictures"};
  lmmc_server server = {.settings = &settings, .model = &model};
  lmmc_fault f = {0};
  json_t *body = size > 1 ? json_loadb((const char *)data + 1, size - 1, JSON_REJECT_DUPLICATES, NULL) : NULL;
  if (!json_is_object(body)) {
    json_decref(body);
    return 0;
  }
  const int which = data[0] % FORMATS;
  lmmc_exchange x = {.server = &server, .format = formats[which], .id = "0123456789abcdef0123456789abcdef"};
  REQUIRE(lmmc_asked_open(&x.asked, &settings, &f));
  if (!formats[which]->read(&x, body, &f)) {
    check_fault(&f, which >= 2);
  } else if (x.reply.count > 0) {
    json_t *reply = json_loadb(x.reply.bytes, x.reply.count, 0, NULL);
    REQUIRE(json_is_object(reply));
    json_decref(reply);
  } else {
    check_asked(&x.asked);
  }
  lmmc_asked_free(&x.asked);
  lmmc_text_free(&x.reply);
  json_decref(body);
  return 0;
}
