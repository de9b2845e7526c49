#include "answer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "dump.h"
#include "engine/engine.h"
#include "image_files.h"
#include "system/memory.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "base/shown_text.h"
#include "observe/observer.h"
#include "session/generation.h"
#include "session/sampler.h"
#include "system/threads.h"
#include "visual_tokens.h"

// Where the answer goes: what a sink is given of it.
typedef struct {
  lmmc_dump *dump;  // NULL without one
  bool closed;      // the reader of standard output is gone
  lmmc_text text;   // the whole answer with --json, else what is not written yet
  lmmc_ids tokens;  // with --json
  int32_t vocabulary;
  int32_t log_probabilities;  // of each token how many
  const float *logits;        // of which the next token was sampled
  lmmc_text probable;         // JSON, an object for each token
} output;

typedef struct {
  lmmc_session session;
  const lmmc_tokenizer *tokenizer;
  const lmmc_options *options;
  const lmmc_image_source *images;
  lmmc_prompt *prompt;
  lmmc_error *e;

  lmmc_pictures pictures;
  lmmc_image_files files;  // with --cache-dir
  int32_t *mark;           // of the slot behind the prompt
  int32_t *rows;           // [blocks], the vision rows that each has run on
  lmmc_dump dump;
  lmmc_sampler sampler;
  lmmc_structured structured;
  lmmc_constraint constraint;
  output output;
  lmmc_answer answer;
  lmmc_ids said;                                            // what drafts are made from
  double ready, preprocess, vision, project, prefill, end;  // seconds
} run;

// ---- images

static bool open_rows(run *r) {
  const size_t length = (size_t)lmmc_mark_length(r->session.model);
  r->mark = malloc(length * sizeof *r->mark);
  r->rows = malloc(length * sizeof *r->rows);
  return (r->mark && r->rows) || lmmc_fail(r->e, 1, "out of memory for an answer");
}

static bool read_images(run *r) {
  double begin = lmmc_clock();
  int count = r->prompt->images;
  bool done = lmmc_pictures_open(&r->pictures, r->session.model, count, r->e) &&
              lmmc_read_pictures(r->session.model, r->images, &r->pictures, r->e);
  r->preprocess = lmmc_clock() - begin;
  return done;
}

// A dump has what tower and projector make, which no file keeps.
static bool uses_files(const run *r) {
  return r->options->cache && r->prompt->images > 0 && !r->options->dump && !r->options->dump_tensors;
}

static bool encode_images(run *r) {
  const lmmc_model *m = r->session.model;
  const lmmc_ids *question = &r->prompt->question;
  const lmmc_image_store *store = uses_files(r) ? &r->files.store : NULL;
  for (int i = 0; i < r->prompt->images; i++) {
    const uint8_t *picture = r->pictures.pixels + r->pictures.bytes * (size_t)i;
    const lmmc_hash_value key = store ? lmmc_picture_key(m, r->files.key, &r->pictures, i, question) : (lmmc_hash_value){0};
    bool is_stored;
    const int32_t rows = lmmc_place_picture(&r->session, store, key, &r->pictures, i, question, &r->vision, &r->project, &is_stored);
    lmmc_prompt_trim(r->prompt, m, i, rows);
    if (r->options->dump && !lmmc_dump_picture(&r->dump, picture, rows, r->e)) return false;
  }
  return true;
}

// ---- sinks

static bool take_logits(void *context, const float *logits, lmmc_error *e) {
  output *o = context;
  o->logits = logits;
  return !o->dump || lmmc_dump_logits(o->dump, logits, e);
}

// A logarithm of a probability; null of 0.
static bool append_log(lmmc_text *t, float value, lmmc_error *e) {
  return isinf(value) ? lmmc_text_append(t, "null", 4, e) : lmmc_text_format(t, e, "%.6f", (double)value);
}

// The token that was sampled, and those that were the likeliest.
static bool keep_probable(output *o, int32_t id, lmmc_error *e) {
  lmmc_log_probability best[LMMC_MOST_LOG_PROBABILITIES];
  const int32_t count = o->log_probabilities < o->vocabulary ? o->log_probabilities : o->vocabulary;
  lmmc_log_probabilities(o->logits, o->vocabulary, best, count);
  bool done = lmmc_text_format(&o->probable, e, "%s{\"id\": %" PRId32 ", \"logprob\": ", o->probable.count ? ", " : "", id) &&
              append_log(&o->probable, lmmc_log_probability_of(o->logits, o->vocabulary, id), e) &&
              lmmc_text_format(&o->probable, e, ", \"top\": [");
  for (int32_t i = 0; done && i < count; i++)
    done = lmmc_text_format(&o->probable, e, "%s{\"id\": %" PRId32 ", \"logprob\": ", i ? ", " : "", best[i].id) &&
           append_log(&o->probable, best[i].value, e) && lmmc_text_append(&o->probable, "}", 1, e);
  return done && lmmc_text_append(&o->probable, "]}", 2, e);
}

static bool keep_text(void *context, const char *text, size_t bytes, lmmc_error *e) {
  return lmmc_text_append(&((output *)context)->text, text, bytes, e);
}

static lmmc_write_result write_text(output *o, const char *text, size_t bytes, lmmc_error *e) {
  if (!o->closed) {
    lmmc_write_result w = lmmc_write(STDOUT_FILENO, text, bytes, "standard output", e);
    if (w == LMMC_WRITE_FAILED) return w;
    o->closed = w == LMMC_CLOSED;
  }
  // A dump goes on for whoever reads it later.
  return o->closed && !o->dump ? LMMC_CLOSED : LMMC_WRITTEN;
}

// A file or another program gets the answer as it is.
static lmmc_write_result to_stream(void *context, int32_t id, const char *text, size_t bytes, lmmc_error *e) {
  (void)id;
  return write_text(context, text, bytes, e);
}

// A terminal acts on controls, and what the model says may come from a picture: there they are shown.
static lmmc_write_result to_terminal(void *context, int32_t id, const char *text, size_t bytes, lmmc_error *e) {
  (void)id;
  lmmc_text shown = {0};
  bool done = lmmc_text_show(&shown, text, bytes, e);
  lmmc_write_result w = done ? write_text(context, shown.bytes, shown.count, e) : LMMC_WRITE_FAILED;
  lmmc_text_free(&shown);
  return w;
}

static lmmc_write_result to_json(void *context, int32_t id, const char *text, size_t bytes, lmmc_error *e) {
  output *o = context;
  return lmmc_ids_append(&o->tokens, id, e) && keep_text(o, text, bytes, e) && (o->log_probabilities == 0 || keep_probable(o, id, e))
             ? LMMC_WRITTEN
             : LMMC_WRITE_FAILED;
}

// ---- answer

static bool answer_json(run *r) {
  lmmc_text out = {0};
  lmmc_error *e = r->e;
  const lmmc_generation *g = &r->answer.made;
  const output *o = &r->output;
  const struct {
    const char *name;
    double seconds;
  } times[] = {
      {"load", r->ready - lmmc_clock_start()},
      {"preprocess", r->preprocess},
      {"vision", r->vision},
      {"project", r->project},
      {"prefill", r->prefill},
      {"decode", g->seconds},
      {"total", r->end - lmmc_clock_start()},
      {"time_to_first_token", g->first_token - r->ready},
  };
  double rate = g->steps > 0 && g->seconds > 0 ? (double)g->steps / g->seconds : 0;
  bool done = lmmc_text_format(&out, e, "{\"text\": ") && lmmc_json_string(&out, o->text.bytes, o->text.count, e) &&
              lmmc_text_format(&out, e, ", \"tokens\": ") && lmmc_json_ids(&out, o->tokens.values, o->tokens.count, e) &&
              lmmc_text_format(&out, e, ", \"prompt_tokens\": %" PRId32, r->prompt->text_tokens) &&
              lmmc_visual_tokens_json(&out, r->session.model, r->prompt, r->rows, e) &&
              (o->log_probabilities == 0 ||
               (lmmc_text_append(&out, ", \"logprobs\": [", 15, e) && lmmc_text_append(&out, o->probable.bytes, o->probable.count, e) &&
                lmmc_text_append(&out, "]", 1, e))) &&
              lmmc_text_format(&out, e, ", \"finish_reason\": \"%s\", \"timings\": {", g->stopped ? "stop" : "length");
  for (size_t i = 0; done && i < sizeof times / sizeof *times; i++)
    done = lmmc_text_format(&out, e, "%s\"%s\": %.3f", i ? ", " : "", times[i].name, times[i].seconds * 1e3);
  done = done &&
         lmmc_text_format(&out, e, "}, \"tokens_per_second\": %.3f, \"peak_rss_bytes\": %" PRId64 "}\n", rate, lmmc_memory_peak()) &&
         lmmc_write(STDOUT_FILENO, out.bytes, out.count, "standard output", e) != LMMC_WRITE_FAILED;
  lmmc_text_free(&out);
  return done;
}

// The rest of the answer.
static bool finish(run *r, const lmmc_sink *sink) {
  output *o = &r->output;
  if (r->options->json) return answer_json(r);
  return lmmc_text_append(&o->text, "\n", 1, r->e) && sink->token(o, -1, o->text.bytes, o->text.count, r->e) != LMMC_WRITE_FAILED;
}

// What the prefill's first call takes of a prompt.
static lmmc_ids first_part(const lmmc_model *model, const lmmc_ids *tokens) {
  lmmc_ids part = *tokens;
  const int64_t compressed = lmmc_compressed_part(model, part.values, (int64_t)part.count, NULL);
  if (compressed > 0) part.count = (size_t)compressed;
  return part;
}

// What `--dump-tensors` writes of what the program is given beside the picture.
static bool dump_inputs(run *r, const lmmc_tensors *tensors) {
  const lmmc_model *m = r->session.model;
  const lmmc_ids tokens = first_part(m, &r->prompt->tokens), *question = &r->prompt->question;
  if (!lmmc_tensors_list(tensors, "tokens", tokens.values, tokens.count, r->e)) return false;
  if (r->prompt->images == 0) return true;
  return (m->question_bound == 0 || lmmc_tensors_list(tensors, "question", question->values, question->count, r->e)) &&
         (!m->reads_bars || lmmc_tensors_list(tensors, "bars", r->pictures.bars[0], 4, r->e));
}

bool lmmc_run(const lmmc_model *model, const lmmc_memory *memory, const lmmc_tokenizer *tokenizer, const lmmc_options *options,
              const lmmc_image_source *images, lmmc_prompt *prompt, lmmc_answer_structures *structures, lmmc_error *e) {
  lmmc_profile profile = {0};
  lmmc_tensors tensors;
  int32_t slot = -1;
  run r = {.tokenizer = tokenizer, .options = options, .images = images, .prompt = prompt, .e = e, .ready = lmmc_clock()};
  r.output.dump = options->dump ? &r.dump : NULL;
  r.output.vocabulary = model->vocabulary;
  r.output.log_probabilities = (int32_t)options->log_probabilities;
  const lmmc_sink sink = {.context = &r.output,
                          .logits = options->dump || options->log_probabilities ? take_logits : NULL,
                          .token = options->json           ? to_json
                                   : isatty(STDOUT_FILENO) ? to_terminal
                                                           : to_stream,
                          .end = keep_text};
  bool done = lmmc_session_open(&r.session, model, memory, e) && open_rows(&r) &&
              lmmc_sampler_open(&r.sampler, model->vocabulary, &options->sampling, e) &&
              lmmc_answer_restrict(structures, &r.structured, &r.sampler, &r.constraint, e) &&
              (!uses_files(&r) || lmmc_image_files_open(&r.files, options->cache, model, memory->weights, e)) && read_images(&r) &&
              (!options->dump || lmmc_dump_open(&r.dump, options->dump, model, memory, prompt->images, e)) &&
              (!options->dump_tensors ||
               lmmc_tensors_start(&tensors, options->dump_tensors, model, (int64_t)first_part(model, &prompt->tokens).count, prompt->images,
                                  r.pictures.pixels, e));
  r.session.observer.profile = options->profile ? &profile : NULL;
  if (done && options->dump_tensors) r.session.observer.tensors = &tensors;
  done = done && encode_images(&r) && (!options->dump_tensors || dump_inputs(&r, &tensors));
  if (done) {
    slot = lmmc_slot_take(&r.session.slots);
    r.prefill = lmmc_prefill(&r.session, slot, &prompt->tokens, NULL);
    lmmc_slot_mark(&r.session.slots, slot, r.mark);
    lmmc_visual_rows(memory, model, prompt, r.mark, r.rows);
    r.session.observer.tensors = NULL;
    done = (!options->dump_tensors || lmmc_tensors_end(&tensors, e)) && (!options->dump || lmmc_dump_prefill(&r.dump, e));
  }
  if (done) {
    // Where each step is a prefill, it has all threads.
    lmmc_threads_use(model->recomputes ? 0 : (int)options->decode_threads);
    lmmc_sampler_read(&r.sampler, prompt->tokens.values, (int64_t)prompt->tokens.count);
    r.answer = (lmmc_answer){.model = model,
                             .tokenizer = tokenizer,
                             .sampler = &r.sampler,
                             .sink = &sink,
                             .max_tokens = options->max_tokens,
                             .stops = options->stops,
                             .stop_count = options->stop_count,
                             .constraint = structures->structure ? &r.constraint : NULL};
    if (options->speculation == LMMC_SPECULATE_LOOKUP) r.answer.said = &r.said;
    done = !r.answer.said || lmmc_ids_append_all(&r.said, prompt->tokens.values, prompt->tokens.count, e);
    done = done && lmmc_generate(&r.session, slot, &r.answer, e);
    r.end = lmmc_clock();
  }
  done = done && (!options->dump || lmmc_dump_close(&r.dump, e)) && finish(&r, &sink);
  if (done && options->profile) {
    lmmc_threads_use(0);  // for the ceilings
    lmmc_profile_print(&profile, stderr, memory->weights, model->attachment_bytes);
  }
  lmmc_dump_discard(&r.dump);
  lmmc_answer_free(&r.answer);
  lmmc_sampler_close(&r.sampler);
  lmmc_structured_close(&r.structured);
  lmmc_session_close(&r.session);
  lmmc_ids_free(&r.said);
  lmmc_ids_free(&r.output.tokens);
  lmmc_text_free(&r.output.text);
  lmmc_text_free(&r.output.probable);
  lmmc_pictures_close(&r.pictures);
  free(r.mark);
  free(r.rows);
  return done;
}
