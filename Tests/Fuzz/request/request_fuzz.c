// Fuzz target: a line of a batch, in lmmc's form, OpenAI's or that of LLaVA's question files, read as a batch reads it; then its id, and the
// reason of one that is refused, as lines of the output, from which a run that goes on must read the same id.
#include "batch/request_line.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#define REQUIRE(condition) ((condition) ? (void)0 : (fprintf(stderr, "%s:%d: not %s\n", __FILE__, __LINE__, #condition), abort()))

static bool is_within(double value, double least, double most) { return value >= least && value <= most; }

// What a line asks for is what the engine takes.
static void check_request(const lmmc_line *l) {
  int images = 0;
  REQUIRE((l->prompt != NULL) != (l->messages != NULL) && (l->messages != NULL) == (l->message_count > 0));
  REQUIRE(!l->is_question || (l->prompt && !l->is_raw));
  REQUIRE(!l->question || l->is_raw);
  for (int i = 0; i < l->message_count; i++) {
    REQUIRE(l->messages[i].role >= LMMC_SYSTEM && l->messages[i].role <= LMMC_ASSISTANT && l->messages[i].text);
    REQUIRE(l->messages[i].images == 0 || l->messages[i].role == LMMC_USER);
    images += l->messages[i].images;
  }
  REQUIRE(!l->messages || images == l->image_count);
  for (int i = 0; i < l->image_count; i++) REQUIRE(*l->images[i] == '/');  // by itself or behind the folder
  for (int i = 0; i < l->stop_count; i++) REQUIRE(l->stops[i].bytes > 0);
  REQUIRE(l->max_tokens >= 1 && l->max_tokens <= INT32_MAX);
  const lmmc_sampling *s = &l->sampling;
  REQUIRE(is_within(s->temperature, 0, 100) && is_within((double)s->top_k, 0, INT32_MAX) && s->top_p > 0 && is_within(s->top_p, 0, 1));
  REQUIRE(is_within(s->min_p, 0, 1) && is_within(s->repeat_penalty, 1e-3, 1e3) && is_within(s->presence_penalty, -100, 100) &&
          is_within(s->frequency_penalty, -100, 100));
}

// A line of the output, whose id must be read again as it is.
static void check_id(const lmmc_line *l, const lmmc_error *why) {
  lmmc_text out = {0};
  for (const char *c = l->id; *c; c++) REQUIRE(*c >= ' ' && *c <= '~');
  REQUIRE(lmmc_text_format(&out, NULL, "{\"%s\": %s, \"error\": {\"message\": ", l->is_question ? "question_id" : "id", l->id) &&
          lmmc_json_string(&out, why->message, strlen(why->message), NULL) && lmmc_text_format(&out, NULL, ", \"code\": %d}}", why->code));
  char *id = lmmc_line_id_of_output(out.bytes, out.count);
  REQUIRE(id && strcmp(id, l->id) == 0);
  free(id);
  lmmc_text_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const lmmc_stop stops[] = {{"one", 3}, {"\0two", 4}};
  const lmmc_line_defaults defaults = {
      .max_tokens = 9, .sampling = LMMC_GREEDY, .stops = stops, .stop_count = size % 3 == 0 ? 2 : 0, .image_folder = "/pictures"};
  char *text = malloc(size);  // no byte more than there are
  if (size > 0) memcpy(text, data, size);
  lmmc_line l = {0};
  lmmc_error e = {0};
  const bool done = lmmc_line_read(&l, text, size, 7, &defaults, &e);
  REQUIRE(l.id);
  if (done)
    check_request(&l);
  else
    REQUIRE(e.code == 2 && *e.message && !strchr(e.message, '\n'));
  check_id(&l, &e);
  lmmc_line_free(&l);
  // The same bytes as a line of an output that is gone on with.
  free(lmmc_line_id_of_output(text, size));
  free(text);
  return 0;
}
