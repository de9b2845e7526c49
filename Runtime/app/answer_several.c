#include "answer_several.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/shown_text.h"
#include "engine_start.h"
#include "system/memory.h"
#include "system/threads.h"
#include "visual_tokens.h"

typedef struct {
  lmmc_request request;  // first: it is found by it
  lmmc_structured structured;
  lmmc_kept_answer kept;
} one;

static void take_over(lmmc_request *r) { (void)r; }

static bool open_one(one *a, const lmmc_options *o, int64_t index, const lmmc_model *m, const lmmc_prompt *prompt,
                     const lmmc_pictures *pictures, lmmc_error *e) {
  lmmc_request *r = &a->request;
  r->max_tokens = o->max_tokens;
  r->stops = o->stops;
  r->stop_count = o->stop_count;
  r->sink = lmmc_keeping_sink(&a->kept);
  r->ended = take_over;
  return lmmc_request_open(r, m, prompt, pictures, &o->sampling, index, e);
}

static void close_one(one *a) {
  lmmc_request_close(&a->request);
  lmmc_structured_close(&a->structured);
  lmmc_kept_free(&a->kept);
}

static bool append_json(lmmc_text *out, const one *list, int64_t count, const lmmc_model *m, double begun, lmmc_error *e) {
  const lmmc_request *first = &list[0].request;
  bool done = lmmc_text_format(out, e, "{\"choices\": [");
  for (int64_t i = 0; done && i < count; i++) {
    const one *a = &list[i];
    done = lmmc_text_format(out, e, "%s{\"index\": %" PRId64 ", \"text\": ", i ? ", " : "", i) &&
           lmmc_json_string(out, a->kept.text.bytes, a->kept.text.count, e) && lmmc_text_format(out, e, ", \"tokens\": ") &&
           lmmc_json_ids(out, a->kept.tokens.values, a->kept.tokens.count, e) &&
           lmmc_text_format(out, e, ", \"finish_reason\": \"%s\"}", a->request.answer.made.stopped ? "stop" : "length");
  }
  return done &&
         lmmc_text_format(out, e, "], \"prompt_tokens\": %" PRId32 ", \"visual_tokens\": %" PRId32, first->prompt.text_tokens,
                          lmmc_visual_tokens(m, &first->prompt)) &&
         lmmc_text_format(
             out, e,
             ", \"timings\": {\"vision\": %.3f, \"project\": %.3f, \"prefill\": %.3f, \"total\": %.3f, \"time_to_first_token\": "
             "%.3f}, \"peak_rss_bytes\": %" PRId64 "}\n",
             first->vision * 1e3, first->project * 1e3, first->prefill * 1e3, (lmmc_clock() - lmmc_clock_start()) * 1e3,
             (first->answer.made.first_token - begun) * 1e3, lmmc_memory_peak());
}

static bool append_texts(lmmc_text *out, const one *list, int64_t count, lmmc_error *e) {
  bool done = true;
  for (int64_t i = 0; done && i < count; i++)
    done = lmmc_text_format(out, e, "[%" PRId64 "]\n", i + 1) &&
           (isatty(STDOUT_FILENO)
                ? lmmc_text_show(out, list[i].kept.text.bytes, list[i].kept.text.count, e)
                : list[i].kept.text.count == 0 || lmmc_text_append(out, list[i].kept.text.bytes, list[i].kept.text.count, e)) &&
           lmmc_text_append(out, "\n", 1, e);
  return done;
}

static bool run(lmmc_engine *g, one *list, int64_t count, lmmc_error *e) {
  for (int64_t i = 0; i < count; i++) lmmc_engine_submit(g, &list[i].request);
  while (lmmc_engine_turn(g)) continue;
  for (int64_t i = 0; i < count; i++)
    if (list[i].request.ending == LMMC_ENDED_BY_FAILURE) return *e = list[i].request.error, false;
  return true;
}

bool lmmc_answer_several(const lmmc_model *model, const lmmc_memory *memory, const lmmc_tokenizer *tokenizer, const lmmc_options *options,
                         const lmmc_image_source *images, const lmmc_prompt *prompt, lmmc_answer_structures *structures, lmmc_error *e) {
  const double begun = lmmc_clock();
  const int64_t count = options->answers;
  lmmc_started started = {0};
  lmmc_pictures pictures = {0};
  lmmc_text out = {0};
  one *list = calloc((size_t)count, sizeof *list);
  const int32_t parallel = count < model->sequences ? (int32_t)count : model->sequences;
  bool done = (list || lmmc_fail(e, 1, "out of memory for %" PRId64 " answers", count)) &&
              lmmc_pictures_open(&pictures, model, prompt->images, e) && lmmc_read_pictures(model, images, &pictures, e) &&
              lmmc_engine_start(&started, model, memory, tokenizer, options, parallel, e);
  for (int64_t i = 0; done && i < count; i++)
    done = open_one(&list[i], options, i, model, prompt, &pictures, e) &&
           lmmc_answer_restrict(structures, &list[i].structured, &list[i].request.sampler, &list[i].request.constraint, e);
  done = done && run(&started.engine, list, count, e) &&
         (options->json ? append_json(&out, list, count, model, begun, e) : append_texts(&out, list, count, e)) &&
         lmmc_write(STDOUT_FILENO, out.bytes, out.count, "standard output", e) != LMMC_WRITE_FAILED;
  for (int64_t i = 0; list && i < count; i++) close_one(&list[i]);
  free(list);
  lmmc_engine_stop(&started);
  lmmc_pictures_close(&pictures);
  lmmc_text_free(&out);
  return done;
}
