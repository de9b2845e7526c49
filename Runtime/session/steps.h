// The steps that every use of a model is made of; each stage is told to the profile.
#ifndef LMMC_SESSION_STEPS_H
#define LMMC_SESSION_STEPS_H

#include "base/error.h"
#include "contract/program.h"
#include "observe/observer.h"
#include "tokenizer/tokenizer.h"

// Bytes of a picture, u8 [S, S, 3].
size_t lmmc_picture_bytes(const lmmc_model *model);

// Where the images of a prompt come from.
typedef struct {
  const char *const *files;  // [file_count], in the order of the places
  int file_count;
  bool has_built_in;   // without files there is one that is painted
  int64_t max_pixels;  // that a file may declare
} lmmc_image_source;

int lmmc_image_count(const lmmc_image_source *source);

// Reads all files, or paints the image that is built in, into `pictures` u8 [count, S, S, 3]: a bad file is known before the first goes
// through the tower. Code 1 when the source has another number of images.
bool lmmc_read_pictures(const lmmc_model *model, const lmmc_image_source *source, uint8_t *pictures, int count, lmmc_error *e);

// What the steps of one conversation work on.
typedef struct {
  const lmmc_model *model;
  const lmmc_memory *memory;
  lmmc_observer observer;  // hears of what each step computes, while it runs
} lmmc_session;

// A picture through tower and projector into its place in vision_rows, which is returned. Adds the seconds of both.
const float *lmmc_encode_picture(const lmmc_session *s, const uint8_t *picture, int index, double *vision, double *project);

// The prompt through prefill, chunk by chunk; returns the seconds.
double lmmc_prefill(const lmmc_session *s, const lmmc_ids *tokens);

// One token at its position; returns the seconds.
double lmmc_decode_step(const lmmc_session *s, int32_t token, int64_t position);

// f32 [vocabulary], what the last prefill or decode step left.
const float *lmmc_logits(const lmmc_session *s);

#endif
