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
#include "visual_tokens.h"

// Milliseconds but for the rates, which are tokens a second. A decode step is one token of each sequence. Those from ALONE on are of
// several sequences: copies of the prompt's rows to the others, and prefills of all their prompts and of one as long as all.
typedef enum {
  IMAGE,
  VISION,
  PROJECT,
  PREFILL,
  FIRST_TOKEN,
  STEP,
  PREFILL_RATE,
  RATE,
  ALONE,
  COPY = ALONE,
  TOGETHER,
  LONG,
  TOGETHER_RATE,
  LONG_RATE,
  FIGURES,
} figure;
static const struct {
  const char *name, *title;
} figures[FIGURES] = {
    [IMAGE] = {"preprocess", "image decoded and resized"},
    [VISION] = {"vision", "vision tower"},
    [PROJECT] = {"project", "projector"},
    [PREFILL] = {"prefill", "prefill"},
    [FIRST_TOKEN] = {"time_to_first_token", "time to first token"},
    [STEP] = {"decode_step", "decode, one token"},
    [PREFILL_RATE] = {"prefill_tokens_per_second", "prefill, tokens/s"},
    [RATE] = {"tokens_per_second", "decode, tokens/s"},
    [COPY] = {"copy", "prompt copied to the others"},
    [TOGETHER] = {"prefill_together", "prefill of all prompts"},
    [LONG] = {"prefill_long", "prefill of one as long"},
    [TOGETHER_RATE] = {"prefill_together_tokens_per_second", "all prompts, tokens/s"},
    [LONG_RATE] = {"prefill_long_tokens_per_second", "one as long, tokens/s"},
};

typedef struct {
  double median, least, most;
} spread;

typedef struct {
  lmmc_session session;
  const lmmc_options *options;
  const lmmc_image_source *images;
  lmmc_prompt *prompt;
  lmmc_pictures pictures;
  lmmc_sampler sampler;
  int32_t *ids;      // [sequences], the next token of each; slot i has sequence i
  lmmc_feed *feeds;  // [sequences]
  int32_t *mark;     // of the slots behind the prompt
  int32_t *rows;     // [blocks], the vision rows that each has run on
  int64_t known;     // first tokens of the prompt whose rows the program has
  bool has_long;     // several sequences, and a slot has room for `all`
  lmmc_ids all;      // the prompt, lengthened to as many tokens as all sequences have of it
  double *samples;   // [FIGURES, runs]
  lmmc_error *e;
} bench;

// Repeats the last token until there are `wanted`.
static bool repeat_last(lmmc_ids *ids, int64_t wanted, lmmc_error *e) {
  const int32_t last = ids->values[ids->count - 1];
  while ((int64_t)ids->count < wanted)
    if (!lmmc_ids_append(ids, last, e)) return false;
  return true;
}

static bool lengthen(lmmc_prompt *p, int64_t wanted, lmmc_error *e) {
  const int64_t count = (int64_t)p->tokens.count;
  if (count > wanted)
    return lmmc_fail(e, 2, "option '--prompt-tokens' wants at least the %" PRId64 " tokens of the prompt, not %" PRId64, count, wanted);
  p->text_tokens += (int32_t)(wanted - count);
  return repeat_last(&p->tokens, wanted, e);
}

// The seconds to prefill the prompts of all sequences in one call, and one that is as long in the first slot.
static bool prefill_all(bench *b, double seconds[FIGURES]) {
  const lmmc_options *o = b->options;
  // The prompt has the tokens that its images have become.
  b->all.count = 0;
  for (size_t i = 0; i < b->prompt->tokens.count; i++)
    if (!lmmc_ids_append(&b->all, b->prompt->tokens.values[i], b->e)) return false;
  if (!repeat_last(&b->all, o->sequences * (int64_t)b->prompt->tokens.count, b->e)) return false;
  for (int32_t s = 0; s < o->sequences; s++) {
    lmmc_slot_clear(&b->session.slots, s);
    b->feeds[s] = (lmmc_feed){s, b->prompt->tokens.values, (int64_t)b->prompt->tokens.count, LMMC_WANTS_LAST};
  }
  seconds[TOGETHER] = lmmc_prefill_all(&b->session, b->feeds, o->sequences);
  lmmc_slot_clear(&b->session.slots, 0);
  // As the others are computed: all of it.
  seconds[LONG] = lmmc_prefill_all(&b->session, &(lmmc_feed){0, b->all.values, (int64_t)b->all.count, LMMC_WANTS_LAST}, 1);
  return true;
}

static bool once(bench *b, double out[FIGURES]) {
  const lmmc_options *o = b->options;
  double begin = lmmc_clock(), seconds[FIGURES] = {0};
  if (!lmmc_read_pictures(b->session.model, b->images, &b->pictures, b->e)) return false;
  if (b->images->file_count > 0)
    seconds[IMAGE] = lmmc_clock() - begin;
  else
    begin = lmmc_clock();
  for (int i = 0; i < b->prompt->images; i++) {
    const lmmc_vision_rows rows =
        lmmc_encode_picture(&b->session, &b->pictures, i, &b->prompt->question, &seconds[VISION], &seconds[PROJECT]);
    lmmc_prompt_trim(b->prompt, b->session.model, i, rows.count);
  }
  lmmc_slot_clear(&b->session.slots, 0);
  seconds[PREFILL] = lmmc_prefill(&b->session, 0, &b->prompt->tokens, &b->known);
  if ((b->ids[0] = lmmc_sample(&b->sampler, lmmc_logits(&b->session, 0), b->e)) < 0) return false;
  double first = lmmc_clock();
  seconds[FIRST_TOKEN] = first - begin;
  lmmc_slot_mark(&b->session.slots, 0, b->mark);
  lmmc_visual_rows(b->session.memory, b->session.model, b->prompt, b->mark, b->rows);
  for (int32_t s = 1; s < o->sequences; s++) {
    lmmc_slot_copy(&b->session.slots, s, 0, b->mark);
    b->ids[s] = b->ids[0];
  }
  for (int32_t s = 0; s < o->sequences; s++) b->feeds[s] = (lmmc_feed){s, &b->ids[s], 1, LMMC_WANTS_LAST};
  double copied = lmmc_clock();
  // Where each step is a prefill, it has all threads.
  lmmc_threads_use(b->session.model->recomputes ? 0 : (int)o->decode_threads);
  for (int64_t i = 0; i < o->max_tokens; i++) {
    lmmc_step(&b->session, b->feeds, o->sequences, "decode");
    for (int32_t s = 0; s < o->sequences; s++)
      if ((b->ids[s] = lmmc_sample(&b->sampler, lmmc_logits(&b->session, s), b->e)) < 0) return false;
  }
  seconds[STEP] = (lmmc_clock() - copied) / (double)o->max_tokens;
  lmmc_threads_use(0);
  if (o->sequences > 1) {
    seconds[COPY] = copied - first;
    if (b->has_long && !prefill_all(b, seconds)) return false;
  }
  for (int f = 0; f < FIGURES; f++) out[f] = seconds[f] * 1e3;
  const double count = (double)b->prompt->tokens.count, sequences = (double)o->sequences;
  out[PREFILL_RATE] = (count - (double)b->known) / seconds[PREFILL];
  out[RATE] = sequences / seconds[STEP];
  if (seconds[TOGETHER] > 0) out[TOGETHER_RATE] = count * sequences / seconds[TOGETHER];
  if (seconds[LONG] > 0) out[LONG_RATE] = count * sequences / seconds[LONG];
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
  char each[48] = "", folded[48] = "";
  if (o->sequences > 1) snprintf(each, sizeof each, ", in each of %" PRId64 " sequences", o->sequences);
  if (b->known > 0) snprintf(folded, sizeof folded, " and %" PRId64 " folded ones", b->known);
  lmmc_text out = {0};
  bool done =
      o->json
          ? lmmc_text_format(&out, e,
                             "{\"runs\": %" PRId64 ", \"sequences\": %" PRId64
                             ", \"threads\": %d, \"decode_threads\": %d, \"prompt_tokens\": %" PRId32,
                             o->runs, o->sequences, t.threads, decode_threads, b->prompt->text_tokens) &&
                lmmc_visual_tokens_json(&out, b->session.model, b->prompt, b->rows, e) &&
                lmmc_text_format(&out, e, ", \"folded_prompt_tokens\": %" PRId64 ", \"decoded_tokens\": %" PRId64, b->known, o->max_tokens)
          : lmmc_text_format(&out, e,
                             "%zu tokens of prompt, %" PRId32 " of them vision tokens%s, and %" PRId64
                             " decoded%s; %d thread%s, %d decode; %" PRId64 " run%s after one to warm up\n%-28s %10s %10s %10s\n",
                             b->prompt->tokens.count, lmmc_visual_tokens(b->session.model, b->prompt), folded, o->max_tokens, each,
                             t.threads, t.threads == 1 ? "" : "s", decode_threads, o->runs, o->runs == 1 ? "" : "s", "milliseconds",
                             "median", "least", "most");
  for (int f = 0; done && f < (o->sequences > 1 ? FIGURES : ALONE); f++) {
    spread s = spread_of(b->samples + f * o->runs, o->runs);
    const char *title = f == STEP && o->sequences > 1 ? "decode, one token of each" : figures[f].title;
    if (o->json)
      done = lmmc_text_format(&out, e, ", \"%s\": {\"median\": %.4f, \"min\": %.4f, \"max\": %.4f}", figures[f].name, s.median, s.least,
                              s.most);
    else if (s.most > 0)
      done = lmmc_text_format(&out, e, "%-28s %10.2f %10.2f %10.2f\n", title, s.median, s.least, s.most);
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

static bool open_sequences(bench *b) {
  const int64_t count = b->options->sequences, all = count * (int64_t)b->prompt->tokens.count;
  b->ids = malloc((size_t)count * sizeof *b->ids);
  b->feeds = malloc((size_t)count * sizeof *b->feeds);
  b->mark = malloc((size_t)lmmc_mark_length(b->session.model) * sizeof *b->mark);
  b->rows = malloc((size_t)lmmc_mark_length(b->session.model) * sizeof *b->rows);
  if (!b->ids || !b->feeds || !b->mark || !b->rows) return lmmc_fail(b->e, 1, "out of memory for %" PRId64 " sequences", count);
  for (int64_t s = 0; s < count; s++) lmmc_slot_take(&b->session.slots);
  b->has_long = count > 1 && all <= b->session.model->context;
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
  b.samples = malloc(FIGURES * sizeof *b.samples * (size_t)o->runs);
  bool done = b.samples || lmmc_fail(e, 1, "out of memory for %" PRId64 " runs", o->runs);
  done = done && lmmc_pictures_open(&b.pictures, model, prompt->images, e) && lmmc_session_open(&b.session, model, memory, e) &&
         open_sequences(&b) && lmmc_sampler_open(&b.sampler, model->vocabulary, &o->sampling, e) &&
         measure(&b, o->profile ? &profile : NULL) && report(&b, e);
  if (done && o->profile) lmmc_profile_print(&profile, stderr, memory->weights, model->attachment_bytes);
  lmmc_sampler_close(&b.sampler);
  lmmc_session_close(&b.session);
  lmmc_ids_free(&b.all);
  lmmc_pictures_close(&b.pictures);
  free(b.samples);
  free(b.ids);
  free(b.feeds);
  free(b.mark);
  free(b.rows);
  return done;
}
