#include "bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "system/memory.h"
#include "base/file.h"
#include "base/text.h"
#include "observe/observer.h"
#include "session/sampler.h"
#include "system/threads.h"

// Milliseconds but for the rates, which are tokens a second. A decode step is one token.
typedef enum { IMAGE, VISION, PROJECT, PREFILL, FIRST_TOKEN, STEP, PREFILL_RATE, RATE, FIGURES } figure;
static const char *const names[FIGURES] = {
    "preprocess", "vision", "project", "prefill", "time_to_first_token", "decode_step", "prefill_tokens_per_second", "tokens_per_second"};
static const char *const titles[FIGURES] = {"image decoded and resized", "vision tower",      "projector",         "prefill",
                                            "time to first token",       "decode, one token", "prefill, tokens/s", "decode, tokens/s"};

typedef struct {
  double median, least, most;
} spread;

typedef struct {
  lmmc_session session;
  int32_t slot;
  const lmmc_options *options;
  const lmmc_image_source *images;
  const lmmc_prompt *prompt;
  uint8_t *pictures;  // u8 [images, S, S, 3]
  lmmc_sampler sampler;
  double *samples;  // [FIGURES, runs]
  lmmc_error *e;
} bench;

// Repeats the last token until the prompt has `wanted`.
static bool lengthen(lmmc_prompt *p, int64_t wanted, lmmc_error *e) {
  if ((int64_t)p->tokens.count > wanted)
    return lmmc_fail(e, 2, "option '--prompt-tokens' wants at least the %zu tokens of the prompt, not %" PRId64, p->tokens.count, wanted);
  int32_t last = p->tokens.values[p->tokens.count - 1];
  while ((int64_t)p->tokens.count < wanted) {
    if (!lmmc_ids_append(&p->tokens, last, e)) return false;
    p->text_tokens++;
  }
  return true;
}

static bool once(bench *b, double out[FIGURES]) {
  const lmmc_options *o = b->options;
  lmmc_threads_use(0);
  double begin = lmmc_clock(), seconds[FIGURES] = {0};
  if (!lmmc_read_pictures(b->session.model, b->images, b->pictures, b->prompt->images, b->e)) return false;
  if (b->images->file_count > 0)
    seconds[IMAGE] = lmmc_clock() - begin;
  else
    begin = lmmc_clock();
  for (int i = 0; i < b->prompt->images; i++)
    lmmc_encode_picture(&b->session, b->pictures + lmmc_picture_bytes(b->session.model) * (size_t)i, i, &seconds[VISION],
                        &seconds[PROJECT]);
  lmmc_slot_clear(&b->session.slots, b->slot);
  seconds[PREFILL] = lmmc_prefill(&b->session, b->slot, &b->prompt->tokens);
  int32_t id = lmmc_sample(&b->sampler, lmmc_logits(&b->session, 0), b->e);
  double first = lmmc_clock();
  seconds[FIRST_TOKEN] = first - begin;
  lmmc_threads_use((int)o->decode_threads);
  for (int64_t i = 0; i < o->max_tokens && id >= 0; i++) {
    lmmc_decode_step(&b->session, b->slot, id);
    id = lmmc_sample(&b->sampler, lmmc_logits(&b->session, 0), b->e);
  }
  if (id < 0) return false;
  seconds[STEP] = (lmmc_clock() - first) / (double)o->max_tokens;
  for (int f = 0; f < PREFILL_RATE; f++) out[f] = seconds[f] * 1e3;
  out[PREFILL_RATE] = (double)b->prompt->tokens.count / seconds[PREFILL];
  out[RATE] = 1 / seconds[STEP];
  return true;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static spread spread_of(double *samples, int64_t count) {
  qsort(samples, (size_t)count, sizeof *samples, ascending);
  return (spread){(samples[(count - 1) / 2] + samples[count / 2]) / 2, samples[0], samples[count - 1]};
}

static bool report(const bench *b, lmmc_error *e) {
  const lmmc_options *o = b->options;
  int64_t resident = lmmc_memory_peak();
  lmmc_threads t = lmmc_threads_started();
  const int decode_threads = o->decode_threads > 0 && o->decode_threads < t.threads ? (int)o->decode_threads : t.threads;
  int visual = b->prompt->images * b->session.model->vision_tokens;
  lmmc_text out = {0};
  bool done = o->json ? lmmc_text_format(&out, e,
                                         "{\"runs\": %" PRId64 ", \"threads\": %d, \"decode_threads\": %d, \"prompt_tokens\": %" PRId32
                                         ", \"visual_tokens\": %d, \"decoded_tokens\": %" PRId64,
                                         o->runs, t.threads, decode_threads, b->prompt->text_tokens, visual, o->max_tokens)
                      : lmmc_text_format(&out, e,
                                         "%zu tokens of prompt, %d of them vision tokens, and %" PRId64
                                         " decoded; %d thread%s, %d decode; %" PRId64 " run%s after one to warm up\n%-28s %10s %10s %10s\n",
                                         b->prompt->tokens.count, visual, o->max_tokens, t.threads, t.threads == 1 ? "" : "s",
                                         decode_threads, o->runs, o->runs == 1 ? "" : "s", "milliseconds", "median", "least", "most");
  for (int f = 0; done && f < FIGURES; f++) {
    spread s = spread_of(b->samples + f * o->runs, o->runs);
    if (o->json)
      done = lmmc_text_format(&out, e, ", \"%s\": {\"median\": %.4f, \"min\": %.4f, \"max\": %.4f}", names[f], s.median, s.least, s.most);
    else if (s.most > 0)
      done = lmmc_text_format(&out, e, "%-28s %10.2f %10.2f %10.2f\n", titles[f], s.median, s.least, s.most);
  }
  done = done &&
         lmmc_text_format(&out, e, o->json ? ", \"peak_rss_bytes\": %" PRId64 "}\n" : "peak resident memory, bytes  %10" PRId64 "\n",
                          resident) &&
         lmmc_write(STDOUT_FILENO, out.bytes, out.count, "standard output", e) != LMMC_WRITE_FAILED;
  lmmc_text_free(&out);
  return done;
}

static bool measure(bench *b, lmmc_profile *profile) {
  const lmmc_options *o = b->options;
  double values[FIGURES];
  if (!once(b, values)) return false;  // weights come into memory, threads awake
  b->session.observer.profile = profile;
  for (int64_t run = 0; run < o->runs; run++) {
    if (!once(b, values)) return false;
    for (int f = 0; f < FIGURES; f++) b->samples[f * o->runs + run] = values[f];
  }
  return true;
}

bool lmmc_bench(const lmmc_model *model, const lmmc_memory *memory, const lmmc_options *o, const lmmc_image_source *images,
                lmmc_prompt *prompt, lmmc_error *e) {
  lmmc_profile profile = {0};
  bench b = {.options = o, .images = images, .prompt = prompt, .e = e};
  if (o->prompt_tokens > 0 && !lengthen(prompt, o->prompt_tokens, e)) return false;
  if ((int64_t)prompt->tokens.count + o->max_tokens > model->context)
    return lmmc_fail(e, 1, "the prompt of %zu tokens and %" PRId64 " decoded ones do not fit the context of this program, %" PRId32,
                     prompt->tokens.count, o->max_tokens, model->context);
  b.pictures = malloc(prompt->images > 0 ? (size_t)prompt->images * lmmc_picture_bytes(model) : 1);
  b.samples = malloc(FIGURES * sizeof *b.samples * (size_t)o->runs);
  bool done = (b.pictures && b.samples) || lmmc_fail(e, 1, "out of memory for %" PRId64 " runs", o->runs);
  done = done && lmmc_session_open(&b.session, model, memory, e);
  if (done) b.slot = lmmc_slot_take(&b.session.slots);
  done = done && lmmc_sampler_open(&b.sampler, model->vocabulary, o->temperature, (int32_t)o->top_k, o->top_p, o->seed, e) &&
         measure(&b, o->profile ? &profile : NULL) && report(&b, e);
  if (done && o->profile) lmmc_profile_print(&profile, stderr, memory->weights, model->attachment_bytes);
  lmmc_sampler_close(&b.sampler);
  lmmc_session_close(&b.session);
  free(b.pictures);
  free(b.samples);
  return done;
}
