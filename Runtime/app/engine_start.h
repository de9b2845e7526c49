// The engine, as every mode of the program that answers more than one question has it.
#ifndef LMMC_APP_ENGINE_START_H
#define LMMC_APP_ENGINE_START_H

#include "engine/engine.h"
#include "image_files.h"
#include "options.h"

// It must stay where it is in memory.
typedef struct {
  lmmc_session session;
  lmmc_engine engine;
  lmmc_image_files files;  // of --cache-dir
} lmmc_started;

// Opens session and engine, which keep 256 MiB of what images have become, and the folder of `--cache-dir`, else under a random key. Code 1 on failure;
// lmmc_engine_stop ends it in either case.
bool lmmc_engine_start(lmmc_started *s, const lmmc_model *model, const lmmc_memory *memory, const lmmc_tokenizer *tokenizer,
                       const lmmc_options *options, int32_t parallel, lmmc_error *e);
void lmmc_engine_stop(lmmc_started *s);

#endif
