// Bodies that Ollama's clients send, read into what is asked.
#include <stdlib.h>
#include <string.h>

#include "serve/exchange/members.h"
#include "ollama.h"

// What an object of these members is refused for, when they say anything: they would change the answer, and are not here.
static const char *const chat_missing[] = {"tools", "think", NULL};
static const char *const generate_missing[] = {"suffix", "template", "context", "think", NULL};
static const char *const message_missing[] = {"tool_calls", NULL};

static bool refuse_missing(const json_t *object, const char *const *keys, lmmc_fault *f) {
  const char *key = lmmc_member_of(object, keys);
  if (!key) return true;
  return lmmc_refuse(f, 400, "unsupported_parameter", key, "'%s' is not supported by this server", key);
}

static bool wants(lmmc_fault *f, const char *key, const char *what) { return lmmc_refuse(f, 400, NULL, key, "'%s' wants %s", key, what); }

// A member that must be a text where it is there; `*to` is NULL where it is not.
static bool text_member(const json_t *object, const char *key, const json_t **to, lmmc_fault *f) {
  *to = lmmc_member(object, key);
  return !*to || json_is_string(*to) || wants(f, key, "a text");
}

// ---- the model

// A name without its tag `:latest`, which Ollama's clients put behind those that have none.
static size_t untagged(const char *name) {
  static const char tag[] = ":latest";
  const size_t bytes = strlen(name), end = sizeof tag - 1;
  return bytes > end && strcmp(name + bytes - end, tag) == 0 ? bytes - end : bytes;
}

static bool check_model(const lmmc_exchange *x, const json_t *body, const char *other_key, lmmc_fault *f) {
  const char *id = x->server->settings->model_id;
  const json_t *name;
  if (!text_member(body, "model", &name, f)) return false;
  if (!name && other_key && !text_member(body, other_key, &name, f)) return false;
  if (!name) return lmmc_refuse(f, 400, NULL, "model", "model is required");
  const char *text = json_string_value(name);
  const size_t bytes = untagged(text);
  if (bytes == untagged(id) && memcmp(text, id, bytes) == 0) return true;
  return lmmc_refuse(f, 404, "model_not_found", "model", "model '%.128s' not found, this server has '%.128s'", text, id);
}

// ---- what all have

// A schema that Ollama's "json" stands for.
static const char any_object[] = "{\"type\":\"object\"}";

static bool read_format(lmmc_exchange *x, const json_t *body, lmmc_fault *f) {
  const json_t *format = lmmc_member(body, "format");
  if (!format || (json_is_string(format) && json_string_length(format) == 0)) return true;
  if (json_is_string(format) && strcmp(json_string_value(format), "json") == 0)
    return lmmc_asked_restrict(&x->asked, LMMC_NOTATION_SCHEMA, any_object, sizeof any_object - 1, f);
  if (!json_is_object(format)) return wants(f, "format", "'json' or a JSON Schema");
  char *schema = json_dumps(format, JSON_COMPACT);
  const bool done = schema ? lmmc_asked_restrict(&x->asked, LMMC_NOTATION_SCHEMA, schema, strlen(schema), f)
                           : lmmc_refuse(f, 500, NULL, NULL, "out of memory for a schema");
  free(schema);
  return done;
}

// Samplers of other programs may be named as long as they are to do nothing.
static bool check_samplers(const json_t *options, lmmc_fault *f) {
  static const struct {
    const char *key;
    double neutral;
  } samplers[] = {{"mirostat", 0}, {"tfs_z", 1}, {"typical_p", 1}};
  for (size_t i = 0; i < sizeof samplers / sizeof *samplers; i++) {
    const json_t *value = lmmc_member(options, samplers[i].key);
    const double number = json_number_value(value);
    if (value && (!json_is_number(value) || number < samplers[i].neutral || number > samplers[i].neutral))
      return lmmc_refuse(f, 400, "unsupported_parameter", samplers[i].key, "'options.%s' is not supported by this server but as %g",
                         samplers[i].key, samplers[i].neutral);
  }
  return true;
}

// Ollama's numbers below 1 stand for as many tokens as there is room for.
static bool read_length(lmmc_exchange *x, const json_t *options, lmmc_fault *f) {
  int64_t length = 0;
  if (!lmmc_member(options, "num_predict")) return true;
  if (!lmmc_member_whole(options, "num_predict", -2, INT32_MAX, &length, f)) return false;
  x->asked.max_tokens = length > 0 ? length : INT32_MAX;
  return true;
}

// What is about loading a model (num_ctx, num_gpu, num_thread, ...) is passed over: this one is loaded, and its context is as it was
// compiled.
static bool read_options(lmmc_exchange *x, const json_t *body, lmmc_fault *f) {
  const json_t *options = lmmc_member(body, "options");
  int64_t last = -1;
  if (!options) return true;
  if (!json_is_object(options)) return wants(f, "options", "an object");
  if (!check_samplers(options, f) || !read_length(x, options, f) || !lmmc_members_of_sampling(options, &x->asked.sampling, f) ||
      !lmmc_member_stops(options, &x->asked, f) || !lmmc_member_whole(options, "repeat_last_n", -1, INT32_MAX, &last, f))
    return false;
  if (last == 0) x->asked.sampling.repeat_penalty = 1;
  // Ollama's name for any seed; the exchange's own has been drawn at random.
  const json_t *seed = lmmc_member(options, "seed");
  if (seed && json_integer_value(seed) == -1) x->asked.sampling.seed = strtoull(x->id + 16, NULL, 16);
  return true;
}

static bool read_common(lmmc_exchange *x, const json_t *body, lmmc_fault *f) {
  bool tells = false;
  int64_t top = 0;
  x->asked.streams = true;
  if (!lmmc_member_bool(body, "stream", &x->asked.streams, f) || !lmmc_member_bool(body, "logprobs", &tells, f) ||
      !lmmc_member_whole(body, "top_logprobs", 0, LMMC_MOST_LOG_PROBABILITIES, &top, f) || !read_format(x, body, f) ||
      !read_options(x, body, f))
    return false;
  x->asked.top = tells ? (int32_t)top : -1;
  return true;
}

// Plain base64, but for clients that pass on what a browser has given them.
static bool read_image(lmmc_exchange *x, const char *text, size_t bytes, lmmc_fault *f) {
  if (strncmp(text, "data:", 5) == 0) return lmmc_asked_add_image_url(&x->asked, text, bytes, NULL, "images", f);
  return lmmc_asked_add_image_base64(&x->asked, text, bytes, "images", f);
}

static bool check_images(const json_t *object, lmmc_fault *f) {
  const json_t *images = lmmc_member(object, "images");
  bool are = !images || json_is_array(images);
  for (size_t i = 0; are && i < json_array_size(images); i++) are = json_is_string(json_array_get(images, i));
  return are || wants(f, "images", "a list of base64 texts");
}

static bool read_images(lmmc_exchange *x, const json_t *object, lmmc_fault *f) {
  const json_t *images = lmmc_member(object, "images");
  if (!check_images(object, f)) return false;
  for (size_t i = 0; i < json_array_size(images); i++) {
    const json_t *image = json_array_get(images, i);
    if (!read_image(x, json_string_value(image), json_string_length(image), f)) return false;
  }
  return true;
}

// ---- what is said

static bool add_message(lmmc_exchange *x, lmmc_role role, const json_t *text, lmmc_fault *f) {
  return lmmc_asked_add_message(&x->asked, role, f) &&
         (!text || lmmc_asked_add_text(&x->asked, json_string_value(text), json_string_length(text), f));
}

static bool read_message(lmmc_exchange *x, const json_t *message, lmmc_fault *f) {
  static const char *const roles[] = {[LMMC_SYSTEM] = "system", [LMMC_USER] = "user", [LMMC_ASSISTANT] = "assistant"};
  const json_t *role_member, *content;
  if (!json_is_object(message)) return wants(f, "messages", "a list of objects");
  if (!text_member(message, "role", &role_member, f) || !text_member(message, "content", &content, f) ||
      !refuse_missing(message, message_missing, f))
    return false;
  const char *name = json_string_value(role_member);
  lmmc_role role = LMMC_SYSTEM;
  while (role <= LMMC_ASSISTANT && !(name && strcmp(name, roles[role]) == 0)) role++;
  if (role > LMMC_ASSISTANT) return wants(f, "role", "'system', 'user' or 'assistant'");
  const json_t *images = lmmc_member(message, "images");
  if (role != LMMC_USER && images && !(json_is_array(images) && json_array_size(images) == 0))
    return lmmc_refuse(f, 400, NULL, "images", "only messages of the user have images here");
  return add_message(x, role, content, f) && read_images(x, message, f);
}

// What loads a model that is not loaded yet asks nothing of this one.
static bool reply_loaded(lmmc_exchange *x, const char *said, lmmc_fault *f) {
  lmmc_error e;
  return (lmmc_ollama_head(x, &x->reply) && lmmc_text_format(&x->reply, &e, "%s, \"done\": true, \"done_reason\": \"load\"}\n", said)) ||
         lmmc_refuse(f, 500, NULL, NULL, "out of memory for a reply");
}

bool lmmc_ollama_read_chat(lmmc_exchange *x, const json_t *body, lmmc_fault *f) {
  const json_t *messages = lmmc_member(body, "messages");
  if (!check_model(x, body, NULL, f) || !refuse_missing(body, chat_missing, f) || !read_common(x, body, f)) return false;
  if (messages && !json_is_array(messages)) return wants(f, "messages", "a list of messages");
  if (json_array_size(messages) == 0) return reply_loaded(x, "\"message\": {\"role\": \"assistant\", \"content\": \"\"}", f);
  for (size_t i = 0; i < json_array_size(messages); i++)
    if (!read_message(x, json_array_get(messages, i), f)) return false;
  return true;
}

bool lmmc_ollama_read_generate(lmmc_exchange *x, const json_t *body, lmmc_fault *f) {
  const json_t *prompt, *system;
  bool raw = false;
  lmmc_error e;
  if (!check_model(x, body, NULL, f) || !refuse_missing(body, generate_missing, f) || !text_member(body, "prompt", &prompt, f) ||
      !text_member(body, "system", &system, f) || !lmmc_member_bool(body, "raw", &raw, f) || !check_images(body, f) ||
      !read_common(x, body, f))
    return false;
  if (!prompt || json_string_length(prompt) == 0) return reply_loaded(x, "\"response\": \"\"", f);
  if (!raw) {
    const bool has_system = system && json_string_length(system) > 0;
    return (!has_system || add_message(x, LMMC_SYSTEM, system, f)) && add_message(x, LMMC_USER, prompt, f) && read_images(x, body, f);
  }
  x->asked.is_raw = true;
  if (!lmmc_text_append(&x->asked.prompt, json_string_value(prompt), json_string_length(prompt), &e))
    return lmmc_refuse_error(f, NULL, NULL, &e);
  return read_images(x, body, f);
}

bool lmmc_ollama_read_show(lmmc_exchange *x, const json_t *body, lmmc_fault *f) {
  if (!check_model(x, body, "name", f)) return false;
  lmmc_error e;
  json_t *described = lmmc_ollama_described(x->server);
  char *text = described ? json_dumps(described, JSON_COMPACT) : NULL;
  json_decref(described);
  const bool done = text && lmmc_text_append(&x->reply, text, strlen(text), &e);
  free(text);
  return done || lmmc_refuse(f, 500, NULL, NULL, "out of memory for a reply");
}
