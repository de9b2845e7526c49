#include "answer_batch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "batch/batch.h"
#include "engine_start.h"

bool lmmc_answer_batch(const lmmc_model *model, const lmmc_memory *memory, const lmmc_tokenizer *tokenizer, const lmmc_options *options,
                       lmmc_answer_structures *structures, int32_t parallel, const char *name, lmmc_error *e) {
  const bool is_standard = strcmp(options->batch, "-") == 0;
  lmmc_started started = {0};
  lmmc_batch_output output = {.fd = -1, .whole.fd = -1};
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
      .model_id = name,
      .unordered = options->unordered,
      .parallel = parallel,
  };
  const bool done = lmmc_batch_output_open(&output, options->output, options->resume, input, e) &&
                    lmmc_engine_start(&started, model, memory, tokenizer, options, parallel, e) &&
                    lmmc_batch(&started.engine, &settings, &output, e) && lmmc_batch_output_finish(&output, e);
  lmmc_engine_stop(&started);
  lmmc_batch_output_close(&output);
  if (!is_standard) close(input);
  return done;
}
