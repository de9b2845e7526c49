#include "answer_chat.h"

#include "chat/chat.h"
#include "engine_start.h"

bool lmmc_answer_chat(const lmmc_model *model, const lmmc_memory *memory, const lmmc_tokenizer *tokenizer, const lmmc_options *options,
                      lmmc_error *e) {
  lmmc_started started = {0};
  lmmc_sampler sampler = {0};
  const lmmc_chat_settings settings = {
      .system = options->system,
      .first = options->prompt,
      .images = options->images,
      .image_count = options->image_count,
      .max_image_pixels = options->max_image_pixels,
      .max_tokens = options->max_tokens,
      .sampling = options->sampling,
      .stops = options->stops,
      .stop_count = options->stop_count,
  };
  // What is wrong with the options is so of every question.
  const bool samples = lmmc_sampler_open(&sampler, model->vocabulary, &options->sampling, e);
  lmmc_sampler_close(&sampler);
  // One slot holds the conversation, and what is taken back is cut off there.
  const bool done =
      samples && lmmc_engine_start(&started, model, memory, tokenizer, options, 1, e) && lmmc_chat(&started.engine, &settings, e);
  lmmc_engine_stop(&started);
  return done;
}
