// The steps that every use of a model is made of; each stage is told to the profile.
#ifndef LMMC_SESSION_STEPS_H
#define LMMC_SESSION_STEPS_H

#include "base/error.h"
#include "contract/program.h"
#include "image/image.h"
#include "observe/observer.h"
#include "prefix.h"
#include "slots.h"
#include "tokenizer/tokenizer.h"

// Pictures as the tower reads them.
typedef struct {
  size_t bytes;        // of one
  uint8_t *pixels;     // u8 [count, S, S, 3]
  int32_t (*bars)[4];  // [count], what of each is padding (lmmc_padding_bars)
  int count;
} lmmc_pictures;

// Room for `count`. Code 1 when memory is out; lmmc_pictures_close ends it in either case.
bool lmmc_pictures_open(lmmc_pictures *p, const lmmc_model *model, int count, lmmc_error *e);
void lmmc_pictures_close(lmmc_pictures *p);

// Where the images of a prompt come from.
typedef struct {
  const char *const *files;  // [file_count], in the order of the places
  int file_count;
  bool has_built_in;   // without files there is one that is painted
  int64_t max_pixels;  // that a file may declare
} lmmc_image_source;

int lmmc_image_count(const lmmc_image_source *source);

// Reads all files, or paints the image that is built in: a bad file is known before the first goes through the tower. Code 1 when the source
// has another number of images.
bool lmmc_read_pictures(const lmmc_model *model, const lmmc_image_source *source, lmmc_pictures *pictures, lmmc_error *e);

// An image as picture `index`. Code 1 when that is not possible.
bool lmmc_picture_set(const lmmc_model *model, const lmmc_image *image, lmmc_pictures *pictures, int index, lmmc_error *e);

// The next rows of one slot.
typedef struct {
  int32_t slot;
  const int32_t *tokens;  // [count]; -1 - r stands for row r of vision_rows
  int64_t count;
  enum { LMMC_WANTS_NONE, LMMC_WANTS_LAST, LMMC_WANTS_ALL } wants;  // whose logits
} lmmc_feed;

// What the steps of all conversations work on.
typedef struct {
  const lmmc_model *model;
  const lmmc_memory *memory;
  lmmc_observer observer;  // hears of what each step computes, while it runs
  lmmc_slots slots;
  lmmc_prefix prefix;
  // What else is to be done while an image goes through the tower (lmmc_memory); NULL: nothing. Feeding slots is allowed there.
  void (*yield)(void *context);
  void *yield_context;
  int32_t *logit_rows;  // [wanted_rows], of the region of logits, where those of each wanted row stand
  lmmc_feed *parts;     // [sequences], of the prompts that a prefill takes
} lmmc_session;

// No slot is in use, and nobody observes. Code 1 when memory is out or what is attached is damaged; lmmc_session_close ends it in either case.
bool lmmc_session_open(lmmc_session *s, const lmmc_model *model, const lmmc_memory *memory, lmmc_error *e);
void lmmc_session_close(lmmc_session *s);

// What a picture has become: f32 [count, hidden], at its place in vision_rows.
typedef struct {
  const float *values;
  int32_t count;  // at most N
} lmmc_vision_rows;

// The picture of this index through tower and projector, where that may read `question`. Adds the seconds of both.
lmmc_vision_rows lmmc_encode_picture(const lmmc_session *s, const lmmc_pictures *pictures, int index, const lmmc_ids *question,
                                     double *vision, double *project);

// Feeds slots, each that has room for it, in this order and with as few calls of the program's code as its chunk allows; a slot may come
// again. Of a program that takes whole prompts a feed with vision rows is a whole prompt, of an empty slot; one that recomputes takes what
// follows with all that the slot was fed before, and no more than the last row's logits may be wanted. At most `wanted_rows` rows' logits are
// wanted. Returns the seconds, which the profile hears of as of `stage` ("prefill", "decode").
double lmmc_step(lmmc_session *s, const lmmc_feed *feeds, int64_t count, const char *stage);

// Prompts of slots, each of another and none longer than its room. One with compression tokens, behind the last of which others follow, is
// fed in two parts: up to that token, after which the slot forgets the rows before the first, and the rest. Observed tensors are those of the
// first part. Returns the seconds.
double lmmc_prefill_all(lmmc_session *s, const lmmc_feed *prompts, int64_t count);

// A prompt of an empty slot, of whose last token the logits are wanted: what the program knows of its first tokens is copied, unless tensors
// are observed. Returns the seconds, and in `*known`, where it is wanted, how many tokens were copied.
double lmmc_prefill(lmmc_session *s, int32_t slot, const lmmc_ids *tokens, int64_t *known);

// f32 [vocabulary], of wanted row `i` of the last step; as long as no other follows.
const float *lmmc_logits(const lmmc_session *s, int64_t i);

#endif
