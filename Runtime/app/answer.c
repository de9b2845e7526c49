#include "answer.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "image/image.h"
#include "system/memory.h"
#include "base/file.h"
#include "base/json.h"
#include "base/npy.h"
#include "base/text.h"
#include "base/printable.h"
#include "session/sampler.h"
#include "system/threads.h"

typedef struct {
  const lmmc_model *model;
  lmmc_session session;
  const lmmc_tokenizer *tokenizer;
  const lmmc_options *options;
  const lmmc_image_source *images;
  const lmmc_prompt *prompt;
  lmmc_error *e;

  uint8_t *pictures;  // u8 [images, S, S, 3]
  lmmc_npy pixels, projected, logits;
  lmmc_sampler sampler;
  lmmc_detokenizer detokenizer;
  lmmc_text text;  // the whole answer with --json, else what is not written yet
  lmmc_ids tokens;
  bool closed;    // the reader of standard output is gone
  bool terminal;  // it is a terminal
  const char *finish_reason;
  int64_t decoded;                                                               // calls of decode()
  double ready, preprocess, vision, project, prefill, decode, first_token, end;  // seconds
} run;

// ---- dump

static bool open_dump(run *r) {
  const lmmc_model *m = r->model;
  const char *directory = r->options->dump;
  const int64_t pixels[] = {3, m->preprocess.size, m->preprocess.size}, projected[] = {m->vision_tokens, m->hidden};
  if (!directory) return true;
  if (!lmmc_make_directories(directory, r->e)) return false;
  if (r->prompt->images > 0 && (!lmmc_npy_open(&r->pixels, directory, "pixels.npy", 3, pixels, r->e) ||
                                !lmmc_npy_open(&r->projected, directory, "projected.npy", 2, projected, r->e)))
    return false;
  return lmmc_npy_open(&r->logits, directory, "logits.npy", 1, (int64_t[]){m->vocabulary}, r->e);
}

static bool dump_pixels(run *r, const uint8_t *picture) {
  const lmmc_model *m = r->model;
  int size = m->preprocess.size;
  float *pixels = malloc(3 * sizeof(float) * (size_t)size * (size_t)size);
  if (!pixels) return lmmc_fail(r->e, 1, "out of memory for an image of %d x %d", size, size);
  lmmc_normalize(picture, size, m->mean, m->std, pixels);
  bool done = lmmc_npy_row(&r->pixels, pixels, r->e);
  free(pixels);
  return done;
}

static bool close_dump(run *r) {
  if (!r->options->dump) return true;
  if (!lmmc_npy_close(&r->logits, r->e)) return false;
  if (r->prompt->images > 0) return lmmc_npy_close(&r->pixels, r->e) && lmmc_npy_close(&r->projected, r->e);
  // Without an image there are no such files, not even those of an earlier run.
  static const char *const absent[] = {"pixels.npy", "projected.npy"};
  for (int i = 0; i < 2; i++) {
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", r->options->dump, absent[i]) < PATH_MAX) unlink(path);
  }
  return true;
}

// ---- images

static bool read_images(run *r) {
  double begin = lmmc_clock();
  int count = r->prompt->images;
  if (count > 0 && !(r->pictures = calloc((size_t)count, lmmc_picture_bytes(r->model))))
    return lmmc_fail(r->e, 1, "out of memory for %d images", count);
  bool done = lmmc_read_pictures(r->model, r->images, r->pictures, count, r->e);
  r->preprocess = lmmc_clock() - begin;
  return done;
}

static bool encode_images(run *r) {
  for (int i = 0; i < r->prompt->images; i++) {
    const uint8_t *picture = r->pictures + lmmc_picture_bytes(r->model) * (size_t)i;
    const float *rows = lmmc_encode_picture(&r->session, picture, i, &r->vision, &r->project);
    if (r->options->dump && (!dump_pixels(r, picture) || !lmmc_npy_row(&r->projected, rows, r->e))) return false;
  }
  return true;
}

// ---- text

// A terminal acts on controls, and what the model says may come from a picture: there they are shown, all but the line's end and the tab.
// A file or another program gets the answer as it is.
static bool show_controls(lmmc_text *text, lmmc_error *e) {
  lmmc_text shown = {0};
  bool done = true;
  for (size_t i = 0, length; done && i < text->count; i += length) {
    uint32_t c = lmmc_character(text->bytes + i, text->count - i, &length);
    char escape[LMMC_ESCAPE];
    bool escaped = c == LMMC_NO_CHARACTER || (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7F && c < 0xA0);
    done = escaped ? lmmc_text_append(&shown, escape, lmmc_escape(escape, c, (unsigned char)text->bytes[i]), e)
                   : lmmc_text_append(&shown, text->bytes + i, length, e);
  }
  lmmc_text_free(text);
  *text = shown;
  return done;
}

// Writes the text that is ready; it ends with a whole character.
static bool stream(run *r) {
  if (r->options->json || r->closed) return true;
  if (r->terminal && !show_controls(&r->text, r->e)) return false;
  lmmc_write_result w = lmmc_write(STDOUT_FILENO, r->text.bytes, r->text.count, "standard output", r->e);
  r->text.count = 0;
  r->closed = w == LMMC_CLOSED;
  return w != LMMC_WRITE_FAILED;
}

static bool is_eos(const lmmc_model *m, int32_t id) {
  for (int i = 0; i < m->eos_count; i++)
    if (m->eos[i] == id) return true;
  return false;
}

static bool generate(run *r) {
  const lmmc_model *m = r->model;
  const float *logits = lmmc_logits(&r->session);
  int64_t position = (int64_t)r->prompt->tokens.count;
  // One more token than the positions that are left: the last one is not decoded.
  int64_t most = m->context - position + 1;
  if (!lmmc_ids_reserve(&r->tokens, (size_t)(r->options->max_tokens < most ? r->options->max_tokens : most), r->e)) return false;
  double begin = 0;
  for (;;) {
    int32_t id = lmmc_sample(&r->sampler, logits, r->e);
    if (id < 0) return false;
    if (!begin) begin = r->first_token = lmmc_clock();
    if (r->options->dump && !lmmc_npy_row(&r->logits, logits, r->e)) return false;
    r->finish_reason = "stop";
    if (is_eos(m, id)) break;
    if (!lmmc_ids_append(&r->tokens, id, r->e) || !lmmc_detokenize(r->tokenizer, &r->detokenizer, id, &r->text, r->e) || !stream(r))
      return false;
    r->finish_reason = "length";
    if ((int64_t)r->tokens.count == r->options->max_tokens || position == m->context) break;
    if (r->closed && !r->options->dump) break;  // nobody is left to answer
    lmmc_decode_step(&r->session, id, position++);
    r->decoded++;
  }
  r->decode = lmmc_clock() - begin;
  return lmmc_detokenize_end(&r->detokenizer, &r->text, r->e);
}

// ---- answer

static bool answer_json(run *r) {
  lmmc_text out = {0};
  lmmc_error *e = r->e;
  const struct {
    const char *name;
    double seconds;
  } times[] = {
      {"load", r->ready - lmmc_clock_start()},
      {"preprocess", r->preprocess},
      {"vision", r->vision},
      {"project", r->project},
      {"prefill", r->prefill},
      {"decode", r->decode},
      {"total", r->end - lmmc_clock_start()},
      {"time_to_first_token", r->first_token - r->ready},
  };
  double rate = r->decoded > 0 && r->decode > 0 ? (double)r->decoded / r->decode : 0;
  bool done = lmmc_text_format(&out, e, "{\"text\": ") && lmmc_json_string(&out, r->text.bytes, r->text.count, e) &&
              lmmc_text_format(&out, e, ", \"tokens\": ") && lmmc_json_ids(&out, r->tokens.values, r->tokens.count, e) &&
              lmmc_text_format(&out, e, ", \"prompt_tokens\": %" PRId32 ", \"visual_tokens\": %" PRId32, r->prompt->text_tokens,
                               r->prompt->images * r->model->vision_tokens) &&
              lmmc_text_format(&out, e, ", \"finish_reason\": \"%s\", \"timings\": {", r->finish_reason);
  for (size_t i = 0; done && i < sizeof times / sizeof *times; i++)
    done = lmmc_text_format(&out, e, "%s\"%s\": %.3f", i ? ", " : "", times[i].name, times[i].seconds * 1e3);
  done = done &&
         lmmc_text_format(&out, e, "}, \"tokens_per_second\": %.3f, \"peak_rss_bytes\": %" PRId64 "}\n", rate, lmmc_memory_peak()) &&
         lmmc_write(STDOUT_FILENO, out.bytes, out.count, "standard output", e) != LMMC_WRITE_FAILED;
  lmmc_text_free(&out);
  return done;
}

static bool answer(run *r) {
  if (r->options->json) return answer_json(r);
  return lmmc_text_append(&r->text, "\n", 1, r->e) && stream(r);
}

bool lmmc_run(const lmmc_model *model, const lmmc_memory *memory, const lmmc_tokenizer *tokenizer, const lmmc_options *options,
              const lmmc_image_source *images, const lmmc_prompt *prompt, lmmc_error *e) {
  lmmc_profile profile = {0};
  lmmc_tensors tensors;
  run r = {.model = model,
           .session = {.model = model, .memory = memory, .observer.profile = options->profile ? &profile : NULL},
           .tokenizer = tokenizer,
           .options = options,
           .images = images,
           .prompt = prompt,
           .e = e,
           .pixels.fd = -1,
           .projected.fd = -1,
           .logits.fd = -1,
           .terminal = isatty(STDOUT_FILENO),
           .ready = lmmc_clock()};
  bool done =
      lmmc_sampler_open(&r.sampler, model->vocabulary, options->temperature, (int32_t)options->top_k, options->top_p, options->seed, e) &&
      read_images(&r) && open_dump(&r) &&
      (!options->dump_tensors ||
       lmmc_tensors_start(&tensors, options->dump_tensors, model, &prompt->tokens, prompt->images, r.pictures, e));
  if (done && options->dump_tensors) r.session.observer.tensors = &tensors;
  done = done && encode_images(&r);
  if (done) {
    r.prefill = lmmc_prefill(&r.session, &prompt->tokens);
    r.session.observer.tensors = NULL;
    done = !options->dump_tensors || lmmc_tensors_end(&tensors, e);
  }
  if (done) {
    lmmc_threads_use((int)options->decode_threads);
    done = generate(&r);
    r.end = lmmc_clock();
  }
  done = done && close_dump(&r) && answer(&r);
  if (done && options->profile) {
    lmmc_threads_use(0);  // for the ceilings
    lmmc_profile_print(&profile, stderr, memory->weights, model->attachment_bytes);
  }
  lmmc_npy_discard(&r.pixels);
  lmmc_npy_discard(&r.projected);
  lmmc_npy_discard(&r.logits);
  lmmc_sampler_close(&r.sampler);
  lmmc_ids_free(&r.tokens);
  lmmc_text_free(&r.text);
  free(r.pictures);
  return done;
}
