#define _GNU_SOURCE  // memmem

#include "asked.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static bool out_of_memory(lmmc_fault *f) { return lmmc_refuse(f, 500, NULL, NULL, "out of memory for a request"); }

// Room for one more of a list that has `count` of `most`.
static bool grow(void **list, int count, size_t size, int most, const char *what, lmmc_fault *f) {
  if (count >= most) return lmmc_refuse(f, 400, NULL, what, "'%s' has more than %d entries", what, most);
  void *larger = realloc(*list, ((size_t)count + 1) * size);
  if (!larger) return out_of_memory(f);
  *list = larger;
  memset((char *)larger + (size_t)count * size, 0, size);
  return true;
}

static bool append(lmmc_text *to, const char *text, size_t bytes, lmmc_fault *f) {
  lmmc_error e;
  return lmmc_text_append(to, text, bytes, &e) || out_of_memory(f);
}

bool lmmc_asked_open(lmmc_asked *a, const lmmc_serve_settings *s, lmmc_fault *f) {
  *a = (lmmc_asked){.max_tokens = s->max_tokens, .sampling = s->sampling, .answers = 1, .top = -1};
  if (s->draws_seed) (void)!getrandom(&a->sampling.seed, sizeof a->sampling.seed, GRND_NONBLOCK);
  a->sampling.biases = NULL;
  a->sampling.bias_count = 0;
  for (int i = 0; i < s->stop_count; i++)
    if (!lmmc_asked_add_stop(a, s->stops[i].text, s->stops[i].bytes, f)) return false;
  for (int i = 0; i < s->sampling.bias_count; i++)
    if (!lmmc_asked_add_bias(a, s->sampling.biases[i].id, (double)s->sampling.biases[i].value, f)) return false;
  return true;
}

void lmmc_asked_clear_stops(lmmc_asked *a) {
  for (int i = 0; i < a->stop_count; i++) free((char *)a->stops[i].text);
  a->stop_count = 0;
}

void lmmc_asked_free(lmmc_asked *a) {
  for (int i = 0; i < a->message_count; i++) lmmc_text_free(&a->messages[i].text);
  for (int i = 0; i < a->image_count; i++) {
    free(a->images[i].bytes);
    free(a->images[i].path);
  }
  lmmc_asked_clear_stops(a);
  free(a->messages);
  free(a->images);
  free(a->stops);
  free(a->biases);
  lmmc_text_free(&a->prompt);
  lmmc_text_free(&a->structure);
  *a = (lmmc_asked){0};
}

bool lmmc_asked_add_message(lmmc_asked *a, lmmc_role role, lmmc_fault *f) {
  if (!grow((void **)&a->messages, a->message_count, sizeof *a->messages, LMMC_MOST_MESSAGES, "messages", f)) return false;
  a->messages[a->message_count++].role = role;
  return append(&a->messages[a->message_count - 1].text, "", 0, f);
}

bool lmmc_asked_add_text(lmmc_asked *a, const char *text, size_t bytes, lmmc_fault *f) {
  return append(&a->messages[a->message_count - 1].text, text, bytes, f);
}

bool lmmc_asked_add_stop(lmmc_asked *a, const char *text, size_t bytes, lmmc_fault *f) {
  if (bytes == 0) return lmmc_refuse(f, 400, NULL, "stop", "'stop' has an empty text");
  if (!grow((void **)&a->stops, a->stop_count, sizeof *a->stops, LMMC_MOST_STOP_TEXTS, "stop", f)) return false;
  char *copy = malloc(bytes);
  if (!copy) return out_of_memory(f);
  memcpy(copy, text, bytes);
  a->stops[a->stop_count++] = (lmmc_stop){copy, bytes};
  return true;
}

bool lmmc_asked_add_bias(lmmc_asked *a, int32_t id, double value, lmmc_fault *f) {
  if (!grow((void **)&a->biases, a->sampling.bias_count, sizeof *a->biases, LMMC_MOST_BIASES, "logit_bias", f)) return false;
  a->biases[a->sampling.bias_count++] = (lmmc_logit_bias){id, (float)value};
  a->sampling.biases = a->biases;
  return true;
}

bool lmmc_asked_restrict(lmmc_asked *a, lmmc_notation notation, const char *text, size_t bytes, lmmc_fault *f) {
  lmmc_text_free(&a->structure);
  a->structure = (lmmc_text){0};
  a->notation = notation;
  return append(&a->structure, text, bytes, f);
}

// ---- images

static bool add_image(lmmc_asked *a, uint8_t *bytes, size_t count, char *path, lmmc_fault *f) {
  // Far more than any program has room for, which is said when the prompt is built.
  if (!grow((void **)&a->images, a->image_count, sizeof *a->images, LMMC_MOST_MESSAGES, "images", f)) return free(bytes), free(path), false;
  a->images[a->image_count++] = (lmmc_asked_image){bytes, count, path};
  if (a->message_count > 0) a->messages[a->message_count - 1].images++;
  return true;
}

// The six bits that a digit of base64 stands for, in either alphabet; -1: none.
static int digit(unsigned char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

// White space between digits is passed over, and padding may be missing.
static bool decode(const char *text, size_t bytes, uint8_t *out, size_t *count) {
  uint32_t bits = 0;
  int held = 0;
  size_t made = 0, at = 0;
  for (; at < bytes && text[at] != '='; at++) {
    if (isspace((unsigned char)text[at])) continue;
    const int value = digit((unsigned char)text[at]);
    if (value < 0) return false;
    bits = bits << 6 | (uint32_t)value;
    if ((held += 6) >= 8) out[made++] = (uint8_t)(bits >> (held -= 8));
  }
  for (; at < bytes; at++)
    if (text[at] != '=' && !isspace((unsigned char)text[at])) return false;
  *count = made;
  return held < 6;
}

bool lmmc_asked_add_image_base64(lmmc_asked *a, const char *text, size_t bytes, const char *param, lmmc_fault *f) {
  uint8_t *out = malloc(bytes / 4 * 3 + 4);
  size_t count = 0;
  if (!out) return out_of_memory(f);
  if (!decode(text, bytes, out, &count) || count == 0) {
    free(out);
    return lmmc_refuse(f, 400, "invalid_image", param, "'%s' has an image that is no base64", param);
  }
  return add_image(a, out, count, NULL, f);
}

static bool begins(const char *text, size_t bytes, const char *with) {
  return bytes >= strlen(with) && strncasecmp(text, with, strlen(with)) == 0;
}

static bool add_data(lmmc_asked *a, const char *url, size_t bytes, const char *param, lmmc_fault *f) {
  static const char encoding[] = ";base64";
  const char *comma = memchr(url, ',', bytes < 256 ? bytes : 256);
  const size_t length = sizeof encoding - 1, before = comma ? (size_t)(comma - url) : 0;
  if (before < length || strncasecmp(comma - length, encoding, length) != 0)
    return lmmc_refuse(f, 400, "invalid_image_url", param, "'%s' has a data URL that is not in base64", param);
  return lmmc_asked_add_image_base64(a, comma + 1, bytes - before - 1, param, f);
}

bool lmmc_asked_add_image_url(lmmc_asked *a, const char *url, size_t bytes, const char *media, const char *param, lmmc_fault *f) {
  if (begins(url, bytes, "data:")) return add_data(a, url, bytes, param, f);
  if (begins(url, bytes, "file://"))
    url += 7, bytes -= 7;
  else if (memmem(url, bytes < 64 ? bytes : 64, "://", 3))
    return lmmc_refuse(f, 400, "invalid_image_url", param,
                       "'%s' has an image that would have to be fetched, which this server does not do; expected a data URL", param);
  if (!media)
    return lmmc_refuse(f, 400, "invalid_image_url", param,
                       "'%s' has the path of an image, and this server reads none: it was started without '--media-path'", param);
  if (bytes == 0 || bytes >= 4096 || memchr(url, 0, bytes))
    return lmmc_refuse(f, 400, "invalid_image_url", param, "'%s' has an image that is no path of a file", param);
  const size_t folder = strlen(media);
  if (bytes > folder && memcmp(url, media, folder) == 0 && (url[folder] == '/' || (folder > 0 && media[folder - 1] == '/')))
    url += folder, bytes -= folder;
  else if (url[0] == '/')
    return lmmc_refuse(f, 400, "invalid_image_url", param, "'%s' has the path of an image that does not lie below '--media-path'", param);
  while (bytes > 0 && url[0] == '/') url++, bytes--;
  char *path = strndup(url, bytes);
  return path ? add_image(a, NULL, 0, path, f) : out_of_memory(f);
}
