// Takes the place of main in a compiled program, plays a script on its slots, and writes what that gives: f32, as it comes. Tests/DifferentialTests
// makes the scripts and knows what they should give.
//   PROGRAM SCRIPT OUTPUT CHUNK THREADS     CHUNK: most rows of one call of the program's code, where its own is larger
// Words of a script, each with what follows it:
//   picture FILE             u8 [S, S, 3] through tower and projector into the first vision rows; gives them, [rows, hidden]
//   feed COUNT               of pieces: SLOT WANTS TOKENS, then the tokens; gives the logits of the wanted rows, [wanted, vocabulary]
//   copy TO FROM ROWS        makes a slot what the first rows of another make of it
//   cut SLOT ROWS            leaves a slot its first rows
//   renew SLOT               gives its memory back and takes it anew, empty
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program/attachment.h"
#include "program/levels.h"
#include "session/steps.h"
#include "system/memory.h"
#include "system/threads.h"

static FILE *script, *output;
static lmmc_session session;

static void stop(const char *what) {
  fprintf(stderr, "error: %s\n", what);
  exit(1);
}

static void *room(size_t count, size_t size) {
  void *memory = calloc(count + 1, size);
  if (!memory) stop("out of memory");
  return memory;
}

static int32_t number(void) {
  int32_t value;
  if (fscanf(script, "%" SCNd32, &value) != 1) stop("the script has no number where one is due");
  return value;
}

static int32_t slot(void) {
  const int32_t s = number();
  if (s < 0 || s >= session.model->sequences) stop("the script names a slot that the program does not have");
  return s;
}

static void give(const float *values, size_t count) {
  if (fwrite(values, sizeof *values, count, output) != count) stop("the output cannot be written");
}

static void picture(void) {
  char path[4096];
  lmmc_pictures p;
  const lmmc_ids nothing = {0};
  if (!lmmc_pictures_open(&p, session.model, 1, NULL)) stop("out of memory");
  double vision = 0, project = 0;
  FILE *file = fscanf(script, "%4095s", path) == 1 ? fopen(path, "rb") : NULL;
  if (!file || fread(p.pixels, 1, p.bytes, file) != p.bytes) stop("the picture cannot be read");
  fclose(file);
  const lmmc_vision_rows rows = lmmc_encode_picture(&session, &p, 0, &nothing, &vision, &project);
  give(rows.values, (size_t)rows.count * (size_t)session.model->hidden);
  lmmc_pictures_close(&p);
}

static void feed(void) {
  const int32_t count = number();
  lmmc_feed *feeds = room((size_t)count, sizeof *feeds);
  int64_t wanted = 0;
  for (int32_t i = 0; i < count; i++) {
    lmmc_feed *f = &feeds[i];
    f->slot = slot(), f->wants = (unsigned)number(), f->count = number();
    int32_t *tokens = room((size_t)f->count, sizeof *tokens);
    for (int64_t k = 0; k < f->count; k++) tokens[k] = number();
    f->tokens = tokens;
    wanted += f->wants == LMMC_WANTS_ALL ? f->count : f->wants == LMMC_WANTS_LAST;
  }
  if (wanted > session.model->wanted_rows) stop("the script wants more rows than the program gives");
  lmmc_step(&session, feeds, count, "play");
  for (int64_t i = 0; i < wanted; i++) give(lmmc_logits(&session, i), (size_t)session.model->vocabulary);
  for (int32_t i = 0; i < count; i++) free((void *)feeds[i].tokens);
  free(feeds);
}

// A mark at which a slot had been fed so many rows, each of which every block has kept.
static int32_t *mark(int32_t rows) {
  const int64_t length = lmmc_mark_length(session.model);
  int32_t *mark = room((size_t)length, sizeof *mark);
  for (int64_t i = 0; i < length; i++) mark[i] = rows;
  return mark;
}

static void play(const char *word) {
  if (!strcmp(word, "picture")) {
    picture();
  } else if (!strcmp(word, "feed")) {
    feed();
  } else if (!strcmp(word, "copy")) {
    const int32_t to = slot(), from = slot();
    int32_t *at = mark(number());
    lmmc_slot_copy(&session.slots, to, from, at);
    free(at);
  } else if (!strcmp(word, "cut")) {
    const int32_t which = slot();
    int32_t *at = mark(number());
    lmmc_slot_cut(&session.slots, which, at);
    free(at);
  } else if (!strcmp(word, "renew")) {
    const int32_t which = slot();
    lmmc_slot_release(&session.slots, which);
    if (lmmc_slot_take(&session.slots) != which) stop("another slot was free");
  } else {
    stop("the script has an unknown word");
  }
}

int main(int argc, char **argv) {
  if (argc != 5) stop("expected SCRIPT OUTPUT CHUNK THREADS");
  lmmc_error e = {0};
  lmmc_model model = lmmc_program;
  if (atoi(argv[3]) < model.chunk) model.chunk = atoi(argv[3]);
  script = fopen(argv[1], "r"), output = fopen(argv[2], "wb");
  if (!script || !output) stop("the script or the output cannot be opened");
  lmmc_memory memory = {0};
  if (!lmmc_levels_start(&e) || !(memory.weights = lmmc_attachment_open(model.attachment_bytes, &e)) ||
      !lmmc_memory_open(&memory, &model, false, (lmmc_memory_use){model.context, model.sequences, 1, 0}, &e))
    stop(e.message);
  lmmc_threads_start(atoi(argv[4]));
  if (!lmmc_session_open(&session, &model, &memory, &e)) stop(e.message);
  for (int32_t s = 0; s < model.sequences; s++)
    if (lmmc_slot_take(&session.slots) != s) stop("slots are not taken in their order");
  for (char word[16]; fscanf(script, "%15s", word) == 1;) play(word);
  lmmc_session_close(&session);
  lmmc_memory_close(&memory, &model);
  if (fclose(output)) stop("the output cannot be written");
  return 0;
}
