#include "texts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "serve/exchange/members.h"
#include "serve/work/work.h"

bool lmmc_told_bytes(const lmmc_server *server, int32_t id, lmmc_text *out) {
  lmmc_detokenizer d = {.begun = true};
  lmmc_error e;
  return lmmc_detokenize(server->tokenizer, &d, id, out, &e) && lmmc_text_append(out, d.held, d.held_count, &e);
}

int64_t lmmc_all_prompt_tokens(const lmmc_told_answer *a) { return a->prompt_tokens + a->visual_tokens; }

const char *lmmc_server_info(const lmmc_server *s) { return s->model->info; }

bool lmmc_health(lmmc_server *s, const char *rest, lmmc_instant *out, lmmc_fault *f) {
  lmmc_error e;
  const lmmc_load load = lmmc_work_load(s->work);
  (void)rest, (void)f;
  return lmmc_text_format(&out->body, &e, "{\"status\": \"%s\", \"answering\": %" PRId64 ", \"waiting\": %" PRId64 "}\n",
                          s->stopping ? "stopping" : "ok", load.answering, load.waiting);
}

bool lmmc_props(lmmc_server *s, const char *rest, lmmc_instant *out, lmmc_fault *f) {
  lmmc_error e;
  const lmmc_model *m = s->model;
  const lmmc_serve_settings *o = s->settings;
  const char *info = lmmc_server_info(s);
  size_t length = strlen(info);
  char seed[24] = "null";
  (void)rest, (void)f;
  if (!o->draws_seed) snprintf(seed, sizeof seed, "%" PRIu64, o->sampling.seed);
  while (length > 0 && strchr(" \n\t\r", info[length - 1])) length--;
  return lmmc_text_format(&out->body, &e, "{\"model\": ") && lmmc_json_string(&out->body, o->model_id, strlen(o->model_id), &e) &&
         lmmc_text_format(&out->body, &e, ", \"version\": ") && lmmc_json_string(&out->body, m->version, strlen(m->version), &e) &&
         lmmc_text_format(&out->body, &e,
                          ", \"context\": %" PRId32 ", \"slots\": %" PRId32 ", \"queue\": %" PRId64 ", \"vision_tokens\": %" PRId32
                          ", \"most_images\": %" PRId32 ", \"most_body_bytes\": %d, \"most_image_pixels\": %" PRId64
                          ", \"media_path\": %s, \"defaults\": {\"max_tokens\": %" PRId64
                          ", \"temperature\": %g, \"top_p\": %g, \"top_k\": %" PRId64 ", \"min_p\": %g, \"seed\": %s}, \"program\": ",
                          m->context, o->parallel, o->queue, m->vision_tokens, m->max_images, LMMC_MOST_BODY, o->max_image_pixels,
                          o->media ? "true" : "false", o->max_tokens, o->sampling.temperature, o->sampling.top_p, o->sampling.top_k,
                          o->sampling.min_p, seed) &&
         lmmc_text_append(&out->body, info, length, &e) && lmmc_text_append(&out->body, "}\n", 2, &e);
}

static bool read_tokenize(lmmc_exchange *x, const json_t *body, lmmc_fault *f) {
  const json_t *content = lmmc_member(body, "content"), *text = content ? content : lmmc_member(body, "prompt");
  lmmc_ids ids = {0};
  lmmc_error e;
  if (!json_is_string(text)) return lmmc_refuse(f, 400, NULL, "content", "'content' wants a text");
  const bool done = (lmmc_tokenize(x->server->tokenizer, json_string_value(text), json_string_length(text), &ids, &e) &&
                     lmmc_text_format(&x->reply, &e, "{\"tokens\": ") && lmmc_json_ids(&x->reply, ids.values, ids.count, &e) &&
                     lmmc_text_format(&x->reply, &e, ", \"count\": %zu}\n", ids.count)) ||
                    lmmc_refuse_error(f, NULL, "content", &e);
  lmmc_ids_free(&ids);
  return done;
}

static bool read_detokenize(lmmc_exchange *x, const json_t *body, lmmc_fault *f) {
  const json_t *list = lmmc_member(body, "tokens");
  const lmmc_tokenizer *t = x->server->tokenizer;
  lmmc_detokenizer d = {0};
  lmmc_text text = {0};
  lmmc_error e;
  bool done = json_is_array(list) || lmmc_refuse(f, 400, NULL, "tokens", "'tokens' wants a list of tokens");
  for (size_t i = 0; done && i < json_array_size(list); i++) {
    const json_t *id = json_array_get(list, i);
    if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= x->server->model->vocabulary)
      done = lmmc_refuse(f, 400, NULL, "tokens", "'tokens' wants numbers from 0 to %" PRId32, x->server->model->vocabulary - 1);
    else
      done = lmmc_detokenize(t, &d, (int32_t)json_integer_value(id), &text, &e) || lmmc_refuse_error(f, NULL, NULL, &e);
  }
  if (done)
    done = (lmmc_detokenize_end(&d, &text, &e) && lmmc_text_format(&x->reply, &e, "{\"content\": ") &&
            lmmc_json_string(&x->reply, text.bytes ? text.bytes : "", text.count, &e) && lmmc_text_format(&x->reply, &e, "}\n")) ||
           lmmc_refuse_error(f, NULL, NULL, &e);
  lmmc_text_free(&text);
  return done;
}

const lmmc_format lmmc_tokenize_format = {.name = "tokenize", .read = read_tokenize};
const lmmc_format lmmc_detokenize_format = {.name = "detokenize", .read = read_detokenize};
