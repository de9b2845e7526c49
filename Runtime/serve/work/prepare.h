// From the body of a request to what the engine is asked.
#ifndef LMMC_SERVE_WORK_PREPARE_H
#define LMMC_SERVE_WORK_PREPARE_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/engine.h"
#include "engine/structure.h"
#include "serve/exchange/http_exchange.h"

// What all answers of an exchange share. Start from {0}, end with lmmc_prepared_free.
typedef struct {
  lmmc_prompt prompt;
  lmmc_pictures pictures;
  lmmc_structure *structure;  // of its own; NULL: none, or the settings'
  double preprocess;          // seconds
} lmmc_prepared;

// Reads the body by the exchange's format into x->asked; or its reply, where nothing is asked of the engine. False with `*f` filled.
bool lmmc_prepare_read(lmmc_exchange *x, const char *body, size_t bytes, lmmc_fault *f);

// Prompt, images and structure of what is asked. False with `*f` filled; lmmc_prepared_free ends it in either case.
bool lmmc_prepare(lmmc_exchange *x, lmmc_prepared *p, lmmc_fault *f);
void lmmc_prepared_free(const lmmc_exchange *x, lmmc_prepared *p);

// An answer's request, whose prompt is a copy and whose pictures are those of `p`; sink, constraint and `ended` are left to whoever asks.
// False with `*f` filled; lmmc_request_close ends it in either case.
bool lmmc_prepare_request(const lmmc_exchange *x, const lmmc_prepared *p, int32_t answer, lmmc_request *r, lmmc_fault *f);

#endif
