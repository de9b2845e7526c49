// A file of requests, a line each, to a file of answers. A thread of its own reads lines and decodes pictures ahead while the engine answers;
// memory does not grow with the number of lines.
#ifndef LMMC_BATCH_BATCH_H
#define LMMC_BATCH_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/engine.h"
#include "engine/structure.h"
#include "output.h"
#include "request_line.h"

typedef struct {
  int input;               // a file descriptor, which stays open
  const char *input_name;  // for messages
  lmmc_line_defaults defaults;
  lmmc_structures *structures;
  lmmc_structure *structure;  // what answers must be whose lines say nothing; NULL: anything
  int64_t max_image_pixels;
  const char *model_id;  // names the program in LLaVA's form
  bool unordered;        // lines of the output stand as they are done, not as they were asked
  int32_t parallel;      // answers that grow at once
} lmmc_batch_settings;

// Answers all lines that `output` does not have, or says on its own line why one cannot be answered. Code 1 when the input cannot be read, the
// output not written, or memory is out. `engine` is at rest, and is so again.
bool lmmc_batch(lmmc_engine *engine, const lmmc_batch_settings *settings, lmmc_batch_output *output, lmmc_error *e);

#endif
