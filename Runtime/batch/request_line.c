#include "request_line.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Ids come from strangers and go to terminals.
enum { ID_FLAGS = JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII };

enum { MOST_STOPS = 64 };

typedef struct {
  lmmc_line *line;
  const json_t *object;
  lmmc_error *e;
} reader;

static bool out_of_memory(lmmc_error *e) { return lmmc_fail(e, 1, "out of memory for a line"); }

static bool wants(const reader *r, const char *key, const char *what) { return lmmc_fail(r->e, 2, "key '%s' wants %s", key, what); }

// A key that is there and not null.
static const json_t *member(const reader *r, const char *key) {
  const json_t *value = json_object_get(r->object, key);
  return value && !json_is_null(value) ? value : NULL;
}

static bool read_whole(const reader *r, const char *key, int64_t least, int64_t *to) {
  const json_t *value = member(r, key);
  if (!value) return true;
  if (!json_is_integer(value) || json_integer_value(value) < least || json_integer_value(value) > INT32_MAX) {
    char what[64];
    snprintf(what, sizeof what, "a whole number from %" PRId64 " to %d", least, INT32_MAX);
    return wants(r, key, what);
  }
  *to = json_integer_value(value);
  return true;
}

static bool read_real(const reader *r, const char *key, double above, double least, double most, double *to) {
  const json_t *value = member(r, key);
  if (!value) return true;
  const double number = json_number_value(value);
  if (!json_is_number(value) || !(number > above && number >= least && number <= most)) {
    char what[64];
    snprintf(what, sizeof what, above >= least ? "a number above %g and at most %g" : "a number from %g to %g",
             above >= least ? above : least, most);
    return wants(r, key, what);
  }
  *to = number;
  return true;
}

static bool read_seed(const reader *r, uint64_t *to) {
  const json_t *value = member(r, "seed");
  if (!value) return true;
  if (!json_is_integer(value) || json_integer_value(value) < 0) return wants(r, "seed", "a whole number of 0 or more");
  *to = (uint64_t)json_integer_value(value);
  return true;
}

// One text, or a list of them.
static size_t text_count(const json_t *value) { return !value ? 0 : json_is_array(value) ? json_array_size(value) : 1; }
static const json_t *text_at(const json_t *value, size_t i) { return json_is_array(value) ? json_array_get(value, i) : value; }

static bool read_stops(const reader *r, const lmmc_line_defaults *defaults) {
  lmmc_line *l = r->line;
  const json_t *value = member(r, "stop");
  const size_t count = value ? text_count(value) : (size_t)defaults->stop_count;
  if (count == 0) return true;
  if (count > MOST_STOPS) return wants(r, "stop", "at most 64 texts");
  if (!(l->stops = calloc(count, sizeof *l->stops))) return out_of_memory(r->e);
  for (size_t i = 0; i < count; i++) {
    const json_t *text = value ? text_at(value, i) : NULL;
    if (value && (!json_is_string(text) || json_string_length(text) == 0)) return wants(r, "stop", "a text, or a list of texts");
    const lmmc_stop from = value ? (lmmc_stop){json_string_value(text), json_string_length(text)} : defaults->stops[i];
    char *copy = malloc(from.bytes);
    if (!copy) return out_of_memory(r->e);
    memcpy(copy, from.text, from.bytes);
    l->stops[l->stop_count++] = (lmmc_stop){copy, from.bytes};
  }
  return true;
}

// What the answer must be, by the key that says it.
static const struct {
  const char *key, *wanted;
} structures[] = {
    [LMMC_NOTATION_SCHEMA] = {"json_schema", "a JSON Schema: an object, or true or false"},
    [LMMC_NOTATION_GBNF] = {"grammar", "a text"},
    [LMMC_NOTATION_REGEX] = {"regex", "a text"},
    [LMMC_NOTATION_CHOICES] = {"choices", "a list of texts"},
};

const char *lmmc_line_structure_key(lmmc_notation notation) { return structures[notation].key; }

static bool read_structure(const reader *r) {
  lmmc_line *l = r->line;
  const json_t *found = NULL;
  for (lmmc_notation n = LMMC_NOTATION_SCHEMA; n <= LMMC_NOTATION_CHOICES; n++) {
    const json_t *value = member(r, structures[n].key);
    if (!value) continue;
    if (found) return lmmc_fail(r->e, 2, "keys '%s' and '%s' exclude each other", structures[l->notation].key, structures[n].key);
    found = value;
    l->notation = n;
  }
  if (!found) return true;
  const bool is_schema = l->notation == LMMC_NOTATION_SCHEMA, is_list = l->notation == LMMC_NOTATION_CHOICES;
  const bool is_right = is_schema ? json_is_object(found) || json_is_boolean(found)
                        : is_list ? json_is_array(found)
                                  : json_is_string(found);
  if (!is_right) return wants(r, structures[l->notation].key, structures[l->notation].wanted);
  l->structure = is_schema || is_list ? json_dumps(found, JSON_COMPACT | JSON_ENCODE_ANY) : strdup(json_string_value(found));
  return l->structure || out_of_memory(r->e);
}

static bool add_image(const reader *r, const char *path, const char *folder) {
  lmmc_line *l = r->line;
  const bool joins = folder && path[0] != '/';
  const size_t bytes = strlen(path) + (joins ? strlen(folder) + 1 : 0) + 1;
  char **list = realloc(l->images, ((size_t)l->image_count + 1) * sizeof *list), *joined = malloc(bytes);
  if (list) l->images = list;
  if (!list || !joined) return free(joined), out_of_memory(r->e);
  snprintf(joined, bytes, "%s%s%s", joins ? folder : "", joins ? "/" : "", path);
  l->images[l->image_count++] = joined;
  return true;
}

static bool read_images(const reader *r, const char *folder) {
  const lmmc_line *l = r->line;
  const json_t *one = member(r, "image"), *several = member(r, "images"), *value = one ? one : several;
  if (one && several) return lmmc_fail(r->e, 2, "keys 'image' and 'images' exclude each other");
  const char *key = one ? "image" : "images", *what = "the path of a file, or a list of them";
  if (value && !json_is_string(value) && !json_is_array(value)) return wants(r, key, what);
  if (value && l->messages) return lmmc_fail(r->e, 2, "keys 'messages' and '%s' exclude each other", key);
  for (size_t i = 0; i < text_count(value); i++) {
    const char *path = json_string_value(text_at(value, i));
    if (!path || !*path) return wants(r, key, what);
    if (!add_image(r, path, folder)) return false;
  }
  return true;
}

// ---- messages

static bool append_text(const reader *r, lmmc_line_message *m, const json_t *text) {
  if (!json_is_string(text)) return lmmc_fail(r->e, 2, "message %d has a text that is none", r->line->message_count);
  const size_t more = json_string_length(text);
  char *joined = realloc(m->text, m->bytes + more + 1);
  if (!joined) return out_of_memory(r->e);
  memcpy(joined + m->bytes, json_string_value(text), more + 1);
  m->text = joined;
  m->bytes += more;
  return true;
}

// A part of a message: a text, or an image by its path.
static bool read_part(const reader *r, lmmc_line_message *m, const json_t *part, const char *folder) {
  const int number = r->line->message_count;
  const char *type = json_string_value(json_object_get(part, "type"));
  if (type && strcmp(type, "text") == 0) return append_text(r, m, json_object_get(part, "text"));
  const json_t *image = type && strcmp(type, "image_url") == 0 ? json_object_get(part, "image_url")
                        : type && strcmp(type, "image") == 0   ? json_object_get(part, "image")
                                                               : NULL;
  const char *path = json_string_value(json_is_object(image) ? json_object_get(image, "url") : image);
  if (!path || !*path) return lmmc_fail(r->e, 2, "message %d has a part that is neither a text nor the path of an image", number);
  if (m->role != LMMC_USER) return lmmc_fail(r->e, 2, "message %d has an image, and is not the user's", number);
  if (strncmp(path, "file://", 7) == 0) path += 7;
  if (strstr(path, "://") || strncmp(path, "data:", 5) == 0)
    return lmmc_fail(r->e, 2, "message %d has an image that is no path of a file", number);
  m->images++;
  return add_image(r, path, folder);
}

static bool read_message(const reader *r, lmmc_line_message *m, const json_t *message, const char *folder) {
  static const char *const roles[] = {[LMMC_SYSTEM] = "system", [LMMC_USER] = "user", [LMMC_ASSISTANT] = "assistant"};
  const char *role = json_string_value(json_object_get(message, "role"));
  const json_t *content = json_object_get(message, "content");
  for (m->role = LMMC_SYSTEM; m->role <= LMMC_ASSISTANT && !(role && strcmp(role, roles[m->role]) == 0);) m->role++;
  if (m->role > LMMC_ASSISTANT) return lmmc_fail(r->e, 2, "message %d has no role 'system', 'user' or 'assistant'", r->line->message_count);
  bool done = (m->text = strdup("")) || out_of_memory(r->e);
  if (!json_is_array(content)) return done && append_text(r, m, content);
  for (size_t i = 0; done && i < json_array_size(content); i++) done = read_part(r, m, json_array_get(content, i), folder);
  return done;
}

static bool read_messages(const reader *r, const char *folder) {
  lmmc_line *l = r->line;
  const json_t *list = member(r, "messages");
  if (member(r, "prompt") || member(r, "raw_prompt")) return lmmc_fail(r->e, 2, "keys 'messages' and 'prompt' exclude each other");
  if (!json_is_array(list) || json_array_size(list) == 0) return wants(r, "messages", "a list of messages");
  if (!(l->messages = calloc(json_array_size(list), sizeof *l->messages))) return out_of_memory(r->e);
  for (size_t i = 0; i < json_array_size(list); i++, l->message_count++)
    if (!read_message(r, &l->messages[i], json_array_get(list, i), folder)) return l->message_count++, false;
  return true;
}

static bool read_prompt(const reader *r) {
  lmmc_line *l = r->line;
  const char *key = l->is_question ? "text" : member(r, "raw_prompt") ? "raw_prompt" : "prompt";
  const json_t *value = member(r, key);
  if (member(r, "raw_prompt") && member(r, "prompt")) return lmmc_fail(r->e, 2, "keys 'prompt' and 'raw_prompt' exclude each other");
  if (!value)
    return lmmc_fail(r->e, 2, "the line has no prompt, expected a key 'prompt', 'raw_prompt', 'messages' or 'text' beside 'question_id'");
  if (!json_is_string(value)) return wants(r, key, "a text");
  l->is_raw = strcmp(key, "raw_prompt") == 0;
  const json_t *asked = member(r, "question");
  if (asked && (!l->is_raw || !json_is_string(asked))) return wants(r, "question", "a text, beside 'raw_prompt'");
  l->prompt = strdup(json_string_value(value));
  if (asked) l->question = strdup(json_string_value(asked));
  return (l->prompt && (l->question || !asked)) || out_of_memory(r->e);
}

// What changes an answer and is not known here must not be passed over.
static bool check_keys(const reader *r) {
  static const char *const missing[] = {"response_format", "logit_bias", "max_completion_tokens", "tools",
                                        "functions",       "logprobs",   "top_logprobs",          "system"};
  if (member(r, "n") && json_integer_value(member(r, "n")) != 1) return wants(r, "n", "1");
  for (size_t i = 0; i < sizeof missing / sizeof *missing; i++)
    if (member(r, missing[i])) return lmmc_fail(r->e, 2, "key '%s' is not known to a batch", missing[i]);
  return true;
}

static bool read_object(const reader *r, const lmmc_line_defaults *defaults) {
  lmmc_line *l = r->line;
  l->max_tokens = defaults->max_tokens;
  l->sampling = defaults->sampling;
  const bool talks = !l->is_question && member(r, "messages");
  return check_keys(r) && (talks ? read_messages(r, defaults->image_folder) : read_prompt(r)) && read_images(r, defaults->image_folder) &&
         read_whole(r, "max_tokens", 1, &l->max_tokens) && read_real(r, "temperature", -1, 0, 100, &l->sampling.temperature) &&
         read_whole(r, "top_k", 0, &l->sampling.top_k) && read_real(r, "top_p", 0, 0, 1, &l->sampling.top_p) &&
         read_real(r, "min_p", -1, 0, 1, &l->sampling.min_p) &&
         read_real(r, "repeat_penalty", -1, 1e-3, 1e3, &l->sampling.repeat_penalty) &&
         read_real(r, "presence_penalty", -101, -100, 100, &l->sampling.presence_penalty) &&
         read_real(r, "frequency_penalty", -101, -100, 100, &l->sampling.frequency_penalty) && read_seed(r, &l->sampling.seed) &&
         read_stops(r, defaults) && read_structure(r);
}

// The text of an id, with DEL escaped too, which is ASCII and no character; NULL when memory is out.
static char *id_text(const json_t *id) {
  static const char escape[] = "\\u007f";
  char *text = json_dumps(id, ID_FLAGS);
  size_t count = 0;
  for (const char *c = text; c && *c; c++) count += *c == 0x7F;
  if (count == 0) return text;
  char *escaped = malloc(strlen(text) + count * (sizeof escape - 2) + 1), *to = escaped;
  for (const char *c = text; escaped && *c; c++) to = *c == 0x7F ? stpcpy(to, escape) : (*to = *c, to + 1);
  if (escaped) *to = 0;
  free(text);
  return escaped;
}

static bool read_id(const reader *r, int64_t number) {
  const json_t *question = member(r, "question_id"), *id = question ? question : member(r, "id");
  r->line->is_question = question != NULL;
  json_t *made = id ? NULL : json_integer(number);
  r->line->id = id_text(id ? id : made);
  json_decref(made);
  return r->line->id || out_of_memory(r->e);
}

bool lmmc_line_read(lmmc_line *l, const char *text, size_t bytes, int64_t number, const lmmc_line_defaults *defaults, lmmc_error *e) {
  json_error_t error;
  json_t *object = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
  const reader r = {l, object, e};
  bool done = read_id(&r, number);
  if (done && !object) done = lmmc_fail(e, 2, "the line is no JSON: %s, at its byte %d", error.text, error.position);
  if (done && !json_is_object(object)) done = lmmc_fail(e, 2, "the line is no JSON object");
  done = done && read_object(&r, defaults);
  json_decref(object);
  return done;
}

void lmmc_line_free(lmmc_line *l) {
  for (int i = 0; i < l->image_count; i++) free(l->images[i]);
  for (int i = 0; i < l->message_count; i++) free(l->messages[i].text);
  free(l->messages);
  for (int i = 0; i < l->stop_count; i++) free((char *)l->stops[i].text);
  free(l->images);
  free(l->stops);
  free(l->prompt);
  free(l->question);
  free(l->structure);
  free(l->id);
  *l = (lmmc_line){0};
}

char *lmmc_line_id_of_output(const char *text, size_t bytes) {
  json_t *object = json_loadb(text, bytes, JSON_ALLOW_NUL, NULL);  // which answers may have
  const json_t *question = json_object_get(object, "question_id"), *id = question ? question : json_object_get(object, "id");
  char *found = id ? id_text(id) : NULL;
  json_decref(object);
  return found;
}
