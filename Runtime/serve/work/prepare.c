#include "prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "image/image.h"
#include "serve/exchange/server.h"
#include "session/asking.h"
#include "system/threads.h"

bool lmmc_prepare_read(lmmc_exchange *x, const char *body, size_t bytes, lmmc_fault *f) {
  json_error_t why;
  if (!lmmc_asked_open(&x->asked, x->server->settings, f)) return false;
  json_t *object = json_loadb(body, bytes, JSON_REJECT_DUPLICATES, &why);
  bool done = object || lmmc_refuse(f, 400, "invalid_json", NULL, "the body is no JSON: %s, at its byte %d", why.text, why.position);
  if (done && !json_is_object(object)) done = lmmc_refuse(f, 400, "invalid_json", NULL, "the body is no JSON object");
  done = done && x->format->read(x, object, f);
  json_decref(object);
  return done;
}

// ---- the prompt

static bool build_prompt(const lmmc_exchange *x, lmmc_prompt *p, lmmc_error *e) {
  const lmmc_asked *a = &x->asked;
  lmmc_message *messages = a->message_count > 0 ? calloc((size_t)a->message_count, sizeof *messages) : NULL;
  if (a->message_count > 0 && !messages) return lmmc_fail(e, 1, "out of memory for a conversation");
  for (int i = 0; i < a->message_count; i++) {
    const lmmc_asked_message *from = &a->messages[i];
    messages[i] = (lmmc_message){
        .role = from->role, .text = from->text.bytes ? from->text.bytes : "", .bytes = from->text.count, .images = from->images};
  }
  const lmmc_asking asking = {.system = x->server->settings->system,
                              .messages = messages,
                              .message_count = a->message_count,
                              .text = a->prompt.bytes ? a->prompt.bytes : "",
                              .bytes = a->prompt.count,
                              .images = a->image_count,
                              .is_raw = a->is_raw};
  const bool done = lmmc_prompt_asked(p, x->server->model, x->server->tokenizer, &asking, e);
  free(messages);
  return done;
}

// ---- images

// A file below the folder of --media-path, whatever links lie there.
static bool read_media(int folder, const char *path, lmmc_text *out, lmmc_fault *f) {
  static const char param[] = "image_url";
  const struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
  const int fd = (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
  struct stat s;
  lmmc_error e;
  if (fd < 0) return lmmc_refuse(f, 400, "invalid_image_url", param, "the image '%s' cannot be read: %s", path, lmmc_reason(errno).text);
  bool done =
      (fstat(fd, &s) == 0 && S_ISREG(s.st_mode)) || lmmc_refuse(f, 400, "invalid_image_url", param, "'%s' is no regular file", path);
  if (done) {
    const lmmc_read_result r = lmmc_read_all(fd, LMMC_MOST_BODY, out, path, &e);
    if (r == LMMC_TOO_LONG)
      done = lmmc_refuse(f, 413, "invalid_image_url", param, "the image '%s' is longer than %d bytes", path, LMMC_MOST_BODY);
    else if (r != LMMC_READ)
      done = lmmc_refuse_error(f, "invalid_image_url", param, &e);
  }
  close(fd);
  return done;
}

static bool read_image(const lmmc_exchange *x, int index, lmmc_pictures *pictures, lmmc_fault *f) {
  const lmmc_server *s = x->server;
  const lmmc_asked_image *from = &x->asked.images[index];
  lmmc_text file = {0};
  lmmc_image image = {0};
  lmmc_error e;
  char name[32];
  snprintf(name, sizeof name, "image %d", index);
  bool done = !from->path || read_media(s->media, from->path, &file, f);
  if (done) {
    const uint8_t *bytes = from->path ? (const uint8_t *)file.bytes : from->bytes;
    done = (lmmc_image_parse(bytes, from->path ? file.count : from->count, name, s->settings->max_image_pixels, &image, &e) &&
            lmmc_picture_set(s->model, &image, pictures, index, &e)) ||
           lmmc_refuse_error(f, "invalid_image", "image_url", &e);
  }
  lmmc_image_free(&image);
  lmmc_text_free(&file);
  return done;
}

static bool read_images(lmmc_exchange *x, lmmc_prepared *p, lmmc_fault *f) {
  lmmc_asked *a = &x->asked;
  lmmc_error e;
  const double began = lmmc_clock();
  if (a->image_count != p->prompt.images)
    return lmmc_refuse(f, 400, NULL, "messages", "the prompt has places for %d images, and %d are given", p->prompt.images, a->image_count);
  if (!lmmc_pictures_open(&p->pictures, x->server->model, p->prompt.images, &e)) return lmmc_refuse_error(f, NULL, NULL, &e);
  for (int i = 0; i < a->image_count; i++) {
    if (!read_image(x, i, &p->pictures, f)) return false;
    free(a->images[i].bytes);
    a->images[i].bytes = NULL;
  }
  p->preprocess = lmmc_clock() - began;
  return true;
}

// ---- all of it

// What the error of a prompt is called: whoever knows it drops the oldest turns and asks again.
static const char *code_of_prompt(const lmmc_error *e) { return strstr(e->message, "context") ? "context_length_exceeded" : NULL; }

bool lmmc_prepare(lmmc_exchange *x, lmmc_prepared *p, lmmc_fault *f) {
  const lmmc_asked *a = &x->asked;
  lmmc_error e = {0};
  if (!build_prompt(x, &p->prompt, &e)) return lmmc_refuse_error(f, code_of_prompt(&e), a->message_count ? "messages" : "prompt", &e);
  if (a->notation != LMMC_NO_NOTATION) {
    p->structure = lmmc_structure_take(x->server->settings->structures, a->notation, a->structure.bytes ? a->structure.bytes : "",
                                       a->structure.count, &e);
    if (!p->structure) return lmmc_refuse_error(f, "invalid_json_schema", "response_format", &e);
  }
  return read_images(x, p, f);
}

void lmmc_prepared_free(const lmmc_exchange *x, lmmc_prepared *p) {
  lmmc_prompt_free(&p->prompt);
  lmmc_pictures_close(&p->pictures);
  lmmc_structure_release(x->server->settings->structures, p->structure);
  *p = (lmmc_prepared){0};
}

bool lmmc_prepare_request(const lmmc_exchange *x, const lmmc_prepared *p, int32_t answer, lmmc_request *r, lmmc_fault *f) {
  const lmmc_asked *a = &x->asked;
  const bool is_restricted = p->structure || x->server->settings->structure;
  lmmc_error e;
  r->max_tokens = a->max_tokens;
  r->stops = a->stops;
  r->stop_count = a->stop_count;
  return (lmmc_request_open(r, x->server->model, &p->prompt, &p->pictures, &a->sampling, answer, &e) &&
          (!is_restricted || lmmc_sampler_restrict(&r->sampler, &e))) ||
         lmmc_refuse_error(f, NULL, "logit_bias", &e);
}
