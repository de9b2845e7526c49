// A line of a batch's output: an answer, or why there is none.
#ifndef LMMC_BATCH_ANSWER_LINE_H
#define LMMC_BATCH_ANSWER_LINE_H

#include "base/text.h"
#include "engine/engine.h"
#include "request_line.h"

// What of an answer is written.
typedef struct {
  lmmc_kept_answer kept;
  double preprocess;  // seconds
} lmmc_batch_answer;

// Appends the line with its end. `model_id` names the program in LLaVA's form.
bool lmmc_answer_line(lmmc_text *out, const lmmc_line *line, const lmmc_request *request, const lmmc_batch_answer *answer,
                      const char *model_id, lmmc_error *e);
bool lmmc_error_line(lmmc_text *out, const lmmc_line *line, const lmmc_error *why, lmmc_error *e);

#endif
