// What Ollama's API tells of the one model that there is.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/keyed_hash.h"
#include "ollama.h"
#include "serve/exchange/server.h"

static bool out_of_memory(lmmc_fault *f) { return lmmc_refuse(f, 500, NULL, NULL, "out of memory for a reply"); }

static const char *text_of(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

// What Ollama calls its models by is a sum of their files. This one is of what the compiler says of the program: as long, and another one
// for another program, but no sum that anything else would come to.
static void write_digest(const lmmc_server *s, char out[65]) {
  const char *info = lmmc_server_info(s);
  for (uint64_t half = 0; half < 2; half++) {
    lmmc_keyed_hash h;
    lmmc_hash_begin(&h, (const uint64_t[]){half, 0});
    lmmc_hash_add(&h, info, strlen(info));
    lmmc_hash_add(&h, &s->model->attachment_bytes, sizeof s->model->attachment_bytes);
    const lmmc_hash_value value = lmmc_hash_end(&h);
    snprintf(out + 32 * half, 33, "%016" PRIx64 "%016" PRIx64, value.words[0], value.words[1]);
  }
}

// The kind of model, which keys begin with.
static const char *family_of(const json_t *info) {
  const char *layout = text_of(info, "layout");
  return *layout ? layout : "lmmc";
}

static json_t *make_details(const lmmc_server *s, const json_t *info) {
  const char *family = family_of(info);
  json_t *families = s->model->vision_tokens > 0 ? json_pack("[ss]", family, "clip") : json_pack("[s]", family);
  return json_pack("{ss, ss, ss, so, ss, ss}", "parent_model", "", "format", "lmmc", "family", family, "families", families,
                   "parameter_size", "", "quantization_level", text_of(info, "precision"));
}

// {"model", "name", "digest", "size", "details"}, which both lists have.
static json_t *make_model(const lmmc_server *s, uint64_t size) {
  lmmc_text name = {0};
  char digest[65];
  json_t *info = json_loads(lmmc_server_info(s), 0, NULL), *spelled = NULL;
  write_digest(s, digest);
  if (lmmc_ollama_name(s, &name)) spelled = json_loadb(name.bytes, name.count, JSON_DECODE_ANY, NULL);
  json_t *model = json_pack("{sO, so, ss, sI, so}", "name", spelled, "model", spelled, "digest", digest, "size", (json_int_t)size,
                            "details", make_details(s, info));
  lmmc_text_free(&name);
  json_decref(info);
  return model;
}

static json_t *make_time(const struct timespec *at) {
  lmmc_text text = {0};
  json_t *made = lmmc_ollama_time(at, &text) ? json_loadb(text.bytes, text.count, JSON_DECODE_ANY, NULL) : NULL;
  lmmc_text_free(&text);
  return made;
}

static json_t *time_of_start(const lmmc_server *s) { return make_time(&(struct timespec){.tv_sec = s->started}); }

// Sends an object, which is NULL where memory was out.
static bool send_object(json_t *object, lmmc_instant *out, lmmc_fault *f) {
  lmmc_error e;
  char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
  const bool done = text && lmmc_text_append(&out->body, text, strlen(text), &e);
  free(text);
  json_decref(object);
  return done || out_of_memory(f);
}

bool lmmc_ollama_tags(lmmc_server *s, const char *rest, lmmc_instant *out, lmmc_fault *f) {
  (void)rest;
  json_t *model = make_model(s, s->model->attachment_bytes);
  if (model && json_object_set_new(model, "modified_at", time_of_start(s)) < 0) json_decref(model), model = NULL;
  return send_object(json_pack("{s[o]}", "models", model), out, f);
}

// It is in memory as long as the server runs.
bool lmmc_ollama_running(lmmc_server *s, const char *rest, lmmc_instant *out, lmmc_fault *f) {
  (void)rest;
  json_t *model = make_model(s, s->model->attachment_bytes + s->model->arena_bytes);
  json_t *more = json_pack("{ss, si, si}", "expires_at", "9999-12-31T23:59:59Z", "size_vram", 0, "context_length", s->model->context);
  if (model && json_object_update_new(model, more) < 0) json_decref(model), model = NULL;
  return send_object(json_pack("{s[o]}", "models", model), out, f);
}

bool lmmc_ollama_version(lmmc_server *s, const char *rest, lmmc_instant *out, lmmc_fault *f) {
  (void)rest;
  return send_object(json_pack("{ss, ss}", "version", LMMC_OLLAMA_VERSION, "lmmc", s->model->version), out, f);
}

// The defaults of requests, in the lines of a Modelfile.
static json_t *make_parameters(const lmmc_server *s) {
  const lmmc_serve_settings *set = s->settings;
  const lmmc_sampling *how = &set->sampling;
  lmmc_text text = {0};
  lmmc_error e;
  const bool done =
      lmmc_text_format(&text, &e, "num_ctx %" PRId32 "\nnum_predict %" PRId64 "\ntemperature %g\ntop_k %" PRId64 "\ntop_p %g\nmin_p %g\n",
                       s->model->context, set->max_tokens, how->temperature, how->top_k, how->top_p, how->min_p) &&
      lmmc_text_format(&text, &e, "repeat_penalty %g\npresence_penalty %g\nfrequency_penalty %g", how->repeat_penalty,
                       how->presence_penalty, how->frequency_penalty);
  json_t *made = done ? json_stringn(text.bytes, text.count) : NULL;
  lmmc_text_free(&text);
  return made;
}

// What is put around a question, with Ollama's place for it.
static json_t *make_template(const lmmc_server *s) {
  const lmmc_template *t = &s->model->prompt;
  lmmc_text text = {0};
  lmmc_error e;
  const bool done = lmmc_text_format(&text, &e, "%s{{ .Prompt }}%s", t->alone ? t->alone : "", t->after ? t->after : "");
  json_t *made = done ? json_stringn(text.bytes, text.count) : NULL;
  lmmc_text_free(&text);
  return made;
}

static int set_length(json_t *to, const char *family, const char *name, int64_t value) {
  char key[128];
  snprintf(key, sizeof key, "%.64s.%s", family, name);
  return json_object_set_new(to, key, json_integer(value));
}

// Ollama's keys are those of GGUF files.
static json_t *make_model_info(const lmmc_server *s, const json_t *info) {
  const json_t *decoder = json_object_get(info, "decoder"), *vision = json_object_get(info, "vision");
  const char *family = family_of(info);
  const struct {
    const json_t *from;
    const char *key, *name;
  } numbers[] = {{decoder, "layers", "block_count"},          {decoder, "heads", "attention.head_count"},
                 {decoder, "vocabulary", "vocab_size"},       {decoder, "intermediate_size", "feed_forward_length"},
                 {vision, "blocks", "vision.block_count"},    {vision, "image_size", "vision.image_size"},
                 {vision, "patch_size", "vision.patch_size"}, {decoder, "key_value_heads", "attention.head_count_kv"},
                 {vision, "vision_tokens", "vision.tokens"}};
  json_t *made = json_pack("{ss}", "general.architecture", family);
  bool done = made && set_length(made, family, "context_length", s->model->context) == 0 &&
              set_length(made, family, "embedding_length", s->model->hidden) == 0;
  for (size_t i = 0; done && i < sizeof numbers / sizeof *numbers; i++) {
    const json_t *value = json_object_get(numbers[i].from, numbers[i].key);
    done = !json_is_integer(value) || set_length(made, family, numbers[i].name, json_integer_value(value)) == 0;
  }
  if (done) return made;
  json_decref(made);
  return NULL;
}

json_t *lmmc_ollama_described(const lmmc_server *s) {
  json_t *info = json_loads(lmmc_server_info(s), 0, NULL);
  json_t *abilities = s->model->vision_tokens > 0 ? json_pack("[ss]", "completion", "vision") : json_pack("[s]", "completion");
  json_t *made =
      json_pack("{ss, so, so, so, so, so, so}", "modelfile", "# This model is a program that lmmc has compiled, and no file of Ollama's.",
                "parameters", make_parameters(s), "template", make_template(s), "details", make_details(s, info), "model_info",
                make_model_info(s, info), "capabilities", abilities, "modified_at", time_of_start(s));
  json_decref(info);
  return made;
}
