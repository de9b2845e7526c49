#include "answer_batch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "batch/batch.h"
#include "image_files.h"

// What images have become is kept in so much memory.
#define IMAGE_BYTES (UINT64_C(256) << 20)

static bool draw_key(uint64_t key[2], lmmc_error *e) {
  return getrandom(key, 2 * sizeof *key, 0) == 2 * sizeof *key ||
         lmmc_fail(e, 1, "no random numbers can be had: %s", lmmc_reason(errno).text);
}

bool lmmc_answer_batch(const lmmc_model *model, const lmmc_memory *memory, const lmmc_tokenizer *tokenizer, const lmmc_options *options,
                       lmmc_answer_structures *structures, int32_t parallel, const char *program, lmmc_error *e) {
  const bool is_standard = strcmp(options->batch, "-") == 0;
  const char *name = strrchr(program, '/');
  lmmc_session session = {0};
  lmmc_engine engine = {0};
  lmmc_batch_output output = {.fd = -1, .whole.fd = -1};
  lmmc_image_files files;
  uint64_t key[2];
  const int input = is_standard ? STDIN_FILENO : open(options->batch, O_RDONLY | O_CLOEXEC);
  char name_of_input[PATH_MAX + 2];
  snprintf(name_of_input, sizeof name_of_input, "'%s'", options->batch);
  if (input < 0) return lmmc_fail(e, 1, "'%s' cannot be read: %s", options->batch, lmmc_reason(errno).text);
  const lmmc_batch_settings settings = {
      .input = input,
      .input_name = is_standard ? "standard input" : name_of_input,
      .defaults = {.max_tokens = options->max_tokens,
                   .sampling = options->sampling,
                   .stops = options->stops,
                   .stop_count = options->stop_count,
                   .system = options->system,
                   .image_folder = options->image_folder},
      .structures = &structures->all,
      .structure = structures->structure,
      .max_image_pixels = options->max_image_pixels,
      .model_id = name ? name + 1 : program,
      .unordered = options->unordered,
      .parallel = parallel,
  };
  // What is wrong with the options is so of every line.
  lmmc_sampler sampler = {0};
  const bool samples = lmmc_sampler_open(&sampler, model->vocabulary, &options->sampling, e);
  lmmc_sampler_close(&sampler);
  bool done =
      samples && draw_key(key, e) && (!options->cache || lmmc_image_files_open(&files, options->cache, model, memory->weights, e)) &&
      lmmc_batch_output_open(&output, options->output, options->resume, input, e) && lmmc_session_open(&session, model, memory, e) &&
      lmmc_engine_open(&engine, &session, tokenizer, parallel, IMAGE_BYTES, options->cache ? files.key : key, e);
  if (done && options->cache) engine.store = &files.store;
  engine.drafts = options->speculation == LMMC_SPECULATE_LOOKUP;
  done = done && lmmc_batch(&engine, &settings, &output, e) && lmmc_batch_output_finish(&output, e);
  lmmc_engine_close(&engine);
  lmmc_session_close(&session);
  lmmc_batch_output_close(&output);
  if (!is_standard) close(input);
  return done;
}
