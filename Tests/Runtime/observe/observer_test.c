// What an observer hears of the kernels, and that it hears it alone: a profile's rows, and tensors as files.
#define _GNU_SOURCE  // memmem
#include "observe/observer.h"

#include <stdlib.h>
#include <string.h>

#include "../check.h"

static char folder[] = "/tmp/lmmc-observe-XXXXXX";

// One product as a kernel tells of it.
static void tell(const float *out, int64_t rows, int64_t width, int64_t stride) {
  double begin = lmmc_profile_begin();
  lmmc_profile_end(begin, (lmmc_profile_key){"matmul q8", "plain", rows, width, 5, out, width, stride}, 100, 10);
}

static void profiles(void) {
  static const float values[6];
  static lmmc_profile first, second;
  CHECK(lmmc_profile_begin() == 0, "%s", "the clock runs for nobody");
  lmmc_observe(&(lmmc_observer){0});
  CHECK(lmmc_profile_begin() == 0, "%s", "the clock runs for an observer of nothing");
  lmmc_observer a = {.profile = &first}, b = {.profile = &second};
  lmmc_observe(&a);
  CHECK(lmmc_profile_begin() > 0, "%s", "the clock stands");
  tell(values, 2, 3, 3);
  tell(values, 2, 3, 3);
  tell(values, 1, 3, 3);
  lmmc_observe(&b);
  tell(values, 2, 3, 3);
  lmmc_observe(NULL);
  tell(values, 2, 3, 3);
  lmmc_profile_stage(&first, "prefill", 1);
  CHECK(first.row_count == 2 && first.rows[0].calls == 2 && first.rows[0].flops == 200 && first.rows[1].calls == 1, "%d rows",
        first.row_count);
  CHECK(second.row_count == 1 && second.rows[0].calls == 1 && second.stage_count == 0, "%d rows", second.row_count);
  CHECK(first.stage_count == 1 && strcmp(first.rows[1].stage, "prefill") == 0, "%d stages", first.stage_count);
}

// The values of a file of `name`, behind its header; NULL without one.
static const float *written(const char *name, const char *shape, size_t bytes) {
  static char content[1024];
  char path[256];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *f = fopen(path, "rb");
  size_t size = f ? fread(content, 1, sizeof content, f) : 0;
  if (f) fclose(f);
  bool fits = size > bytes && (size - bytes) % 64 == 0 && memmem(content, size - bytes, shape, strlen(shape));
  CHECK(fits, "'%s' has %zu bytes", path, size);
  return fits ? (const float *)(const void *)(content + size - bytes) : NULL;
}

static void tensors(void) {
  static const float values[] = {1, 2, 0, 3, 4, 0};
  lmmc_model model = {.chunk = 4};
  static const int32_t tokens[] = {7, 8, 9};
  lmmc_tensors t;
  lmmc_error e = {0};
  lmmc_observer o = {.tensors = &t};
  CHECK(lmmc_tensors_start(&t, folder, &model, 4, 0, NULL, &e) && lmmc_tensors_list(&t, "tokens", tokens, 3, &e), "%s", e.message);
  const float *f = written("tokens.npy", "(3, 1)", 12);
  CHECK(f && f[0] == 7 && f[2] == 9, "%s", "tokens");
  lmmc_observe(&o);
  tell(values, 2, 2, 3);  // no name is awaited
  lmmc_tensors_entry(&t, "one\ntwo\n");
  tell(values, 2, 2, 3);
  tell(values + 1, 1, 1, 1);
  lmmc_observe(NULL);
  CHECK(lmmc_tensors_end(&t, &e), "%s", e.message);
  f = written("one.npy", "(2, 2)", 16);
  CHECK(f && f[0] == 1 && f[1] == 2 && f[2] == 3 && f[3] == 4, "%s", "one");
  f = written("two.npy", "(1, 1)", 4);
  CHECK(f && f[0] == 2, "%s", "two");
  // more and fewer than names
  static const struct {
    int results;
    const char *message;
  } wrong[] = {{3, "option '--dump-tensors': the program makes more tensors than it has names for"},
               {1, "option '--dump-tensors': the program did not make 'two'"}};
  for (int i = 0; i < 2; i++) {
    CHECK(lmmc_tensors_start(&t, folder, &model, 3, 0, NULL, &e), "%s", e.message);
    lmmc_tensors_entry(&t, "one\ntwo\n");
    lmmc_observe(&o);
    for (int k = 0; k < wrong[i].results; k++) tell(values, 1, 2, 2);
    lmmc_observe(NULL);
    CHECK(!lmmc_tensors_end(&t, &e) && e.code == 1 && strcmp(e.message, wrong[i].message) == 0, "'%s'", e.message);
  }
  CHECK(!lmmc_tensors_start(&t, folder, &model, 5, 0, NULL, &e) && e.code == 2, "'%s'", e.message);
  CHECK(!lmmc_tensors_start(&t, folder, &model, 3, 2, NULL, &e) && e.code == 2, "'%s'", e.message);
}

int main(void) {
  if (!mkdtemp(folder)) return perror(folder), 2;
  profiles();
  tensors();
  char command[128];
  snprintf(command, sizeof command, "rm -r '%s'", folder);
  if (system(command) != 0) perror(folder);
  return check_report();
}
