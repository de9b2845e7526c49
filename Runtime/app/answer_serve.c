#include "answer_serve.h"

#include "engine_start.h"
#include "serve/serve.h"

bool lmmc_answer_serve(const lmmc_model *model, const lmmc_memory *memory, const lmmc_tokenizer *tokenizer, const lmmc_options *options,
                       lmmc_answer_structures *structures, int32_t parallel, const char *name, lmmc_error *e) {
  const lmmc_serve_settings settings = {
      .address = options->address,
      .key_file = options->key_file,
      .media = options->media,
      .cache = model->vision_tokens > 0 ? options->cache : NULL,
      .queue = options->queue,
      .timeout = options->timeout,
      .grace = options->grace,
      .logs_json = options->log_json,
      .max_tokens = options->max_tokens,
      .sampling = options->sampling,
      .draws_seed = !options->has_seed,
      .stops = options->stops,
      .stop_count = options->stop_count,
      .system = options->system,
      .structure = structures->structure,
      .structures = &structures->all,
      .max_image_pixels = options->max_image_pixels,
      .model_id = name,
      .parallel = parallel,
  };
  lmmc_started started = {0};
  const bool done =
      lmmc_engine_start(&started, model, memory, tokenizer, options, parallel, e) && lmmc_serve(&started.engine, &settings, e);
  lmmc_engine_stop(&started);
  return done;
}
