// `--dump`: what its files hold, and what is left of it after a failure.
#define _GNU_SOURCE
#include <math.h>

#include "cli_fixture.h"
#include "cli_npy.h"

static void check_logits(const char *dump, const expected *x) {
  char shape[64];
  int rows = x->count + x->stopped;
  snprintf(shape, sizeof shape, "%d, %d", rows, FAKE_VOCABULARY);
  const float *logits = read_npy(in_dump(dump, "logits.npy"), "<f4", shape, (size_t)rows * FAKE_VOCABULARY);
  int wrong = 0;
  for (int r = 0; r < rows; r++)
    for (int i = 0; i < FAKE_VOCABULARY; i++) wrong += logits[r * FAKE_VOCABULARY + i] != fake_logit(x->states[r], i);
  CHECK(wrong == 0, "%d of %d logits", wrong, rows * FAKE_VOCABULARY);
}

static void dumps(void) {
  char dump[8192];
  snprintf(dump, sizeof dump, "%s/a/b//c/", folder);
  expected x = simulate("<image> and <image>", true, 2, 6);
  check_answer(run(program, "--dump", dump, "--image", images[0], "--image", images[1], "--raw-prompt", "<image> and <image>",
                   "--max-tokens", "6", "--json"),
               &x);
  check_logits(dump, &x);
  const float *pixels = read_npy(in_dump(dump, "pixels.npy"), "<f4", "2, 3, 12, 12", 2 * 3 * FAKE_SIZE * FAKE_SIZE);
  const float *projected = read_npy(in_dump(dump, "projected.npy"), "<f4", "2, 4, 6", 2 * FAKE_VISION_TOKENS * FAKE_HIDDEN);
  static const float mean[] = {0.48145466f, 0.4578275f, 0.40821073f}, std[] = {0.26862954f, 0.26130258f, 0.27577711f};
  int wrong = 0;
  for (int i = 0; i < 2; i++) {
    lmmc_image image;
    uint8_t picture[FAKE_SIZE * FAKE_SIZE * 3];
    lmmc_preprocess pad = {.mode = LMMC_RESIZE_PAD, .size = FAKE_SIZE, .background = {122, 116, 104}};
    if (!lmmc_image_read(images[i], LMMC_IMAGE_MAX_PIXELS, &image, NULL) || !lmmc_preprocess_image(&image, &pad, picture, NULL)) abort();
    lmmc_image_free(&image);
    for (int c = 0; c < 3; c++)
      for (int k = 0; k < FAKE_SIZE * FAKE_SIZE; k++)
        wrong += fabs((double)pixels[(i * 3 + c) * FAKE_SIZE * FAKE_SIZE + k] -
                      (picture[3 * k + c] / 255.0 - (double)mean[c]) / (double)std[c]) > 1e-6;
    for (int k = 0; k < FAKE_VISION_TOKENS * FAKE_HIDDEN; k++)
      wrong += projected[i * FAKE_VISION_TOKENS * FAKE_HIDDEN + k] != fake_projected(picture, k / FAKE_HIDDEN, k % FAKE_HIDDEN);
  }
  CHECK(wrong == 0, "%d values of pixels and projected", wrong);
  CHECK(entries(dump) == 3, "%d files", entries(dump));
  // no image, no such files; and one more row when an eos ends it
  setup.environment[0] = "FAKE_TOKENS=300 301 2";
  result r = run(program, "--dump", dump, "--prompt", "x");
  CHECK(r.code == 0 && entries(dump) == 1, "exit %d, %d files", r.code, entries(dump));
  read_npy(in_dump(dump, "logits.npy"), "<f4", "3, 448", 3 * FAKE_VOCABULARY);
  x = simulate("text", true, 0, 8);
  check_answer(run(program, "--raw-prompt", "text", "--max-tokens", "8", "--json", "--dump", dump), &x);
  check_logits(dump, &x);
}

static void failing_dumps(void) {
  const char *whole = in_folder("whole"), *file = in_folder("file");
  char error[9000], again[8800];
  // a full disk (a limit on file sizes) leaves no file, and what was there before stays
  run(program, "--dump", whole, "--prompt", "x", "--max-tokens", "1");
  CHECK(entries(whole) == 1, "%d files", entries(whole));
  setup.file_limit = 5000;
  snprintf(error, sizeof error, "error: file '%s/logits.npy' cannot be written: file too large\n", whole);
  result r = run(program, "--dump", whole, "--image", images[0], "--prompt", "x", "--json");
  CHECK_ERROR(r, 1, error);
  CHECK(entries(whole) == 1, "%d files", entries(whole));
  read_npy(in_dump(whole, "logits.npy"), "<f4", "1, 448", FAKE_VOCABULARY);
  // names that cannot be folders
  fclose(fopen(file, "w"));
  snprintf(error, sizeof error, "error: folder '%s' cannot be created: not a directory\n", file);
  CHECK_ERROR(run(program, "--dump", file, "--prompt", "x"), 1, error);
  snprintf(again, sizeof again, "%s/below", file);
  snprintf(error, sizeof error, "error: folder '%s' cannot be created: not a directory\n", again);
  CHECK_ERROR(run(program, "--dump", again, "--prompt", "x"), 1, error);
  // a name that others can foresee: what they put there stays as it is, and is not in the way
  char command[9000];
  snprintf(
      command, sizeof command,
      "cd '%s' && mkdir foreseen && echo mine >mine && ln -s ../mine foreseen/.logits.npy.$$.tmp && exec '%s' --dump foreseen --prompt x",
      folder, program);
  r = run("/bin/sh", "-c", command);
  CHECK(r.code == 0 && entries(in_folder("foreseen")) == 2, "exit %d '%s', %d files", r.code, r.err, entries(in_folder("foreseen")));
  // a failure in the middle
  setup.environment[0] = "FAKE_LOGIT=3 nan";
  r = run(program, "--dump", whole, "--image", images[0], "--prompt", "x", "--json");
  CHECK_ERROR(r, 1, "error: the model gave a NaN as the logit of token 5\n");
  CHECK(entries(whole) == 1, "%d files", entries(whole));
}

RUN_TESTS(dumps, failing_dumps)
