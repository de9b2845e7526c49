#include <stdio.h>
#include <string.h>

#include "serve/exchange/members.h"
#include "openai.h"
#include "openai_forms.h"
#include "serve/exchange/server.h"

// What changes an answer and is not known here must not be passed over; all else that is not known is.
static const char *const missing_of_chat[] = {"tools", "functions", "function_call", "audio", "prediction", "web_search_options", NULL};
static const char *const missing_of_completions[] = {"suffix", "echo", NULL};

static bool refuse_missing(const json_t *body, const char *const *keys, lmmc_fault *f) {
  const char *key = lmmc_member_of(body, keys);
  return !key || lmmc_refuse(f, 400, "unsupported_parameter", key, "'%s' is not supported by this server", key);
}

// ---- messages

static bool read_part(lmmc_exchange *x, const json_t *part, const char *param, lmmc_fault *f) {
  const char *type = json_string_value(json_object_get(part, "type"));
  lmmc_asked *a = &x->asked;
  if (type && (strcmp(type, "text") == 0 || strcmp(type, "input_text") == 0)) {
    const json_t *text = json_object_get(part, "text");
    if (!json_is_string(text)) return lmmc_refuse(f, 400, NULL, param, "'%s' has a part without a text", param);
    return lmmc_asked_add_text(a, json_string_value(text), json_string_length(text), f);
  }
  if (!type || strcmp(type, "image_url") != 0)
    return lmmc_refuse(f, 400, "unsupported_content", param, "'%s' has a part of type '%s'; expected 'text' or 'image_url'", param,
                       type ? type : "");
  const json_t *image = json_object_get(part, "image_url"), *url = json_is_object(image) ? json_object_get(image, "url") : image;
  if (!json_is_string(url)) return lmmc_refuse(f, 400, NULL, param, "'%s' has an image without a 'url'", param);
  if (a->messages[a->message_count - 1].role != LMMC_USER)
    return lmmc_refuse(f, 400, NULL, param, "'%s' has an image, and is not the user's", param);
  return lmmc_asked_add_image_url(a, json_string_value(url), json_string_length(url), x->server->settings->media, param, f);
}

static bool read_message(lmmc_exchange *x, const json_t *message, size_t index, lmmc_fault *f) {
  static const struct {
    const char *name;
    lmmc_role role;
  } roles[] = {{"system", LMMC_SYSTEM}, {"developer", LMMC_SYSTEM}, {"user", LMMC_USER}, {"assistant", LMMC_ASSISTANT}};
  static const char *const calls[] = {"tool_calls", "function_call", "audio", NULL};
  char param[64];
  const char *name = json_string_value(json_object_get(message, "role"));
  const json_t *content = json_object_get(message, "content");
  size_t role = 0;
  snprintf(param, sizeof param, "messages[%zu].role", index);
  while (role < sizeof roles / sizeof *roles && !(name && strcmp(name, roles[role].name) == 0)) role++;
  if (role == sizeof roles / sizeof *roles)
    return lmmc_refuse(f, 400, NULL, param, "'%s' is '%s'; expected 'system', 'developer', 'user' or 'assistant'", param, name ? name : "");
  if (!refuse_missing(message, calls, f) || !lmmc_asked_add_message(&x->asked, roles[role].role, f)) return false;
  snprintf(param, sizeof param, "messages[%zu].content", index);
  if (json_is_string(content)) return lmmc_asked_add_text(&x->asked, json_string_value(content), json_string_length(content), f);
  if (!json_is_array(content)) return lmmc_refuse(f, 400, NULL, param, "'%s' wants a text, or a list of parts", param);
  for (size_t i = 0; i < json_array_size(content); i++)
    if (!read_part(x, json_array_get(content, i), param, f)) return false;
  return true;
}

static bool read_messages(lmmc_exchange *x, const json_t *body, lmmc_fault *f) {
  const json_t *list = lmmc_member(body, "messages");
  if (!json_is_array(list) || json_array_size(list) == 0)
    return lmmc_refuse(f, 400, NULL, "messages", "'messages' wants a list of messages");
  for (size_t i = 0; i < json_array_size(list); i++)
    if (!read_message(x, json_array_get(list, i), i, f)) return false;
  return true;
}

// ---- what both forms have

static bool read_biases(lmmc_asked *a, const json_t *body, lmmc_fault *f) {
  static const char key[] = "logit_bias";
  const json_t *list = lmmc_member(body, key), *value;
  const char *name;
  if (list && !json_is_object(list)) return lmmc_refuse(f, 400, NULL, key, "'logit_bias' wants an object of tokens and numbers");
  json_object_foreach((json_t *)list, name, value) {
    int64_t id = 0;
    const char *at = name;
    while (*at >= '0' && *at <= '9' && id < INT32_MAX) id = id * 10 + (*at++ - '0');
    const double number = json_number_value(value);
    if (at == name || *at || id >= INT32_MAX || !json_is_number(value) || !(number >= -100 && number <= 100))
      return lmmc_refuse(f, 400, NULL, key, "'logit_bias' wants tokens by their numbers, and numbers from -100 to 100");
    if (!lmmc_asked_add_bias(a, (int32_t)id, number, f)) return false;
  }
  return true;
}

static bool read_format(lmmc_asked *a, const json_t *body, lmmc_fault *f) {
  static const char key[] = "response_format";
  const json_t *format = lmmc_member(body, key);
  const char *type = json_string_value(json_object_get(format, "type"));
  if (!format || (type && strcmp(type, "text") == 0)) return true;
  if (type && strcmp(type, "json_object") == 0) {
    static const char object[] = "{\"type\":\"object\"}";
    return lmmc_asked_restrict(a, LMMC_NOTATION_SCHEMA, object, sizeof object - 1, f);
  }
  const json_t *schema = json_object_get(json_object_get(format, "json_schema"), "schema");
  if (!type || strcmp(type, "json_schema") != 0)
    return lmmc_refuse(f, 400, NULL, key, "'response_format' wants a 'type' of 'text', 'json_object' or 'json_schema'");
  if (!json_is_object(schema)) return lmmc_refuse(f, 400, NULL, key, "'response_format' wants an object 'schema' in its 'json_schema'");
  char *text = json_dumps(schema, JSON_COMPACT);
  if (!text) return lmmc_refuse(f, 500, NULL, NULL, "out of memory for a schema");
  const bool done = lmmc_asked_restrict(a, LMMC_NOTATION_SCHEMA, text, strlen(text), f);
  free(text);
  return done;
}

static bool read_common(lmmc_exchange *x, const json_t *body, lmmc_fault *f) {
  lmmc_asked *a = &x->asked;
  const json_t *options = lmmc_member(body, "stream_options");
  int64_t answers = 1;
  if (!lmmc_member_whole(body, "n", 1, LMMC_MOST_ANSWERS, &answers, f)) return false;
  a->answers = (int32_t)answers;
  return lmmc_member_whole(body, "max_tokens", 1, INT32_MAX, &a->max_tokens, f) && lmmc_members_of_sampling(body, &a->sampling, f) &&
         lmmc_member_stops(body, a, f) && read_biases(a, body, f) && read_format(a, body, f) &&
         lmmc_member_bool(body, "stream", &a->streams, f) && (!options || lmmc_member_bool(options, "include_usage", &a->streams_usage, f));
}

bool lmmc_openai_read_chat(lmmc_exchange *x, const json_t *body, lmmc_fault *f) {
  lmmc_asked *a = &x->asked;
  const json_t *modes = lmmc_member(body, "modalities");
  bool tells = false;
  int64_t top = 0;
  for (size_t i = 0; i < json_array_size(modes); i++) {
    const char *mode = json_string_value(json_array_get(modes, i));
    if (!mode || strcmp(mode, "text") != 0)
      return lmmc_refuse(f, 400, "unsupported_parameter", "modalities",
                         "'modalities' wants 'text' alone, which is what this model answers");
  }
  if (!refuse_missing(body, missing_of_chat, f) || !read_messages(x, body, f) || !read_common(x, body, f) ||
      !lmmc_member_whole(body, "max_completion_tokens", 1, INT32_MAX, &a->max_tokens, f) ||
      !lmmc_member_bool(body, "logprobs", &tells, f) || !lmmc_member_whole(body, "top_logprobs", 0, LMMC_MOST_LOG_PROBABILITIES, &top, f))
    return false;
  if (top > 0 && !tells) return lmmc_refuse(f, 400, NULL, "top_logprobs", "'top_logprobs' wants 'logprobs' to be true");
  if (tells) a->top = (int32_t)top;
  return true;
}

bool lmmc_openai_read_completion(lmmc_exchange *x, const json_t *body, lmmc_fault *f) {
  lmmc_asked *a = &x->asked;
  lmmc_error e;
  const json_t *prompt = lmmc_member(body, "prompt");
  int64_t top = -1, best = 1;
  if (json_is_array(prompt) && json_array_size(prompt) == 1) prompt = json_array_get(prompt, 0);
  if (!json_is_string(prompt)) return lmmc_refuse(f, 400, NULL, "prompt", "'prompt' wants one text");
  if (!lmmc_text_append(&a->prompt, json_string_value(prompt), json_string_length(prompt), &e)) return lmmc_refuse_error(f, NULL, NULL, &e);
  a->is_raw = true;
  if (!refuse_missing(body, missing_of_completions, f) || !read_common(x, body, f) ||
      !lmmc_member_whole(body, "logprobs", 0, LMMC_MOST_LOG_PROBABILITIES, &top, f) ||
      !lmmc_member_whole(body, "best_of", 1, LMMC_MOST_ANSWERS, &best, f))
    return false;
  if (best > a->answers) return lmmc_refuse(f, 400, "unsupported_parameter", "best_of", "'best_of' is not supported by this server");
  a->top = (int32_t)top;
  return true;
}
