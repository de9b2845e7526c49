// A program whose pictures become fewer rows, as many as it counts: its answers, and what it says of the rows in `--json` and `--dump`.
#define _GNU_SOURCE
#include "app/visual_tokens.h"
#include "cli_fixture.h"
#include "cli_npy.h"

// The picture that a program makes of a file, and what it adds to its rows where nothing is asked.
static float asked;

static const uint8_t *picture_of(const char *path) {
  static uint8_t picture[2][FAKE_SIZE * FAKE_SIZE * 3];
  static int next;
  lmmc_image image;
  lmmc_preprocess pad = {.mode = LMMC_RESIZE_PAD, .size = FAKE_SIZE, .background = {122, 116, 104}};
  next = !next;
  if (!lmmc_image_read(path, LMMC_IMAGE_MAX_PIXELS, &image, NULL) || !lmmc_preprocess_image(&image, &pad, picture[next], NULL)) abort();
  lmmc_prompt nothing = {0};
  int32_t bars[4];
  lmmc_padding_bars(image.width, image.height, FAKE_SIZE, bars);
  if (!lmmc_prompt_ask(&nothing, &(lmmc_model){.question_bound = FAKE_MOST_ASKED}, &tokenizer, NULL, 0, NULL)) abort();
  asked = fake_asked(nothing.question.values, (int64_t)nothing.question.count, bars);
  lmmc_prompt_free(&nothing);
  lmmc_image_free(&image);
  return picture[next];
}

static bool same_list(const json *list, const int *wanted, int count, int minus) {
  int i = 0;
  for (const json *v = list ? list->child : NULL; v; v = v->next, i++)
    if (i >= count || (int)v->number != wanted[i] - minus) return false;
  return list && i == count;
}

static void check_blocks(result r, const expected *x) {
  const json *list = json_get(json_parse(r.out), "visual_tokens_per_block");
  CHECK(same_list(list, x->lengths, FAKE_BLOCKS, x->text_tokens), "'%s', wanted rows %d and %d, less %d", r.out, x->lengths[0],
        x->lengths[1], x->text_tokens);
}

// Two of the pictures, of which one has more rows than the other and fewer than N.
static const char *longer, *shorter;

static void choose(void) {
  reduces = true;
  for (int i = 0; i < 3; i++)
    for (int k = 0; k < 3; k++)
      if (fake_rows(picture_of(images[i])) > fake_rows(picture_of(images[k]))) longer = images[i], shorter = images[k];
  CHECK(longer != NULL, "%s", "all pictures become as many rows");
}

static void answers(void) {
  int sum = 0;
  for (int i = 0; i < 3; i++) {
    char prompt[] = "a<image>b";
    memcpy(images[3], images[0], sizeof *images);
    memcpy(images[0], images[i], sizeof *images);
    expected x = simulate(prompt, true, 1, 9);
    result r = run(program, "--image", images[i], "--raw-prompt", prompt, "--max-tokens", "9", "--json");
    check_answer(r, &x);
    check_blocks(r, &x);
    CHECK(x.visual_tokens == fake_rows(picture_of(images[i])), "%d rows", x.visual_tokens);
    sum += x.visual_tokens;
    memcpy(images[0], images[3], sizeof *images);
  }
  CHECK(sum < 3 * FAKE_VISION_TOKENS, "%s", "no picture becomes fewer rows");
  // Places keep their order, and a text has no vision tokens in any block.
  expected x = simulate("<image>1<image>", true, 2, 9);
  result r = run(program, "--image", images[0], "--image", images[1], "--raw-prompt", "<image>1<image>", "--json", "--max-tokens", "9");
  check_answer(r, &x);
  check_blocks(r, &x);
  x = simulate("text", true, 0, 9);
  r = run(program, "--raw-prompt", "text", "--max-tokens", "9", "--json");
  check_answer(r, &x);
  check_blocks(r, &x);
  // Others say nothing of blocks.
  r = run(decoder, "--raw-prompt", "text", "--max-tokens", "1", "--json");
  CHECK(r.code == 0 && !json_get(json_parse(r.out), "visual_tokens_per_block"), "'%s'", r.out);
}

// The words that are asked reach the projector: of a prompt, of an option beside a raw one, of standard input and of what is built in.
static void questions(void) {
  static const char words[] = "a <image> bird?";
  expected x = simulate(words, false, 1, 3);
  check_answer(run(program, "--image", images[0], "--prompt", words, "--max-tokens", "3", "--json"), &x);
  char command[9000];
  snprintf(command, sizeof command, "printf '%%s\\n' '%s' | '%s' --image '%s' --max-tokens 3 --json", words, program, images[0]);
  check_answer(run("/bin/sh", "-c", command), &x);
  question = "Which bird stands on the bridge?";
  x = simulate("a<image>b", true, 1, 3);
  check_answer(run(program, "--image", images[0], "--raw-prompt", "a<image>b", "--question", question, "--max-tokens", "3", "--json"), &x);
  const fake_state first = x.states[0];
  question = NULL;
  x = simulate("a<image>b", true, 1, 3);
  CHECK(x.states[0].blocks[0] != first.blocks[0], "%s", "the question changes nothing");
  check_answer(run(program, "--image", images[0], "--raw-prompt", "a<image>b", "--max-tokens", "3", "--json"), &x);
  // It is cut to what there is room for.
  question = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen";
  x = simulate("a<image>b", true, 1, 3);
  check_answer(run(program, "--image", images[0], "--raw-prompt", "a<image>b", "--question", question, "--max-tokens", "3", "--json"), &x);
  question = NULL;
  // Who asks for it without a raw prompt is wrong; a program that does not read it takes it all the same.
  CHECK_ERROR(run(program, "--prompt", "a", "--question", "b"), 2,
              "error: option '--question' belongs to '--raw-prompt', which is not given\n");
  reduces = false;
  x = simulate("text", true, 0, 3);
  check_answer(run(decoder, "--raw-prompt", "text", "--question", "b", "--max-tokens", "3", "--json"), &x);
  reduces = true;
}

static void benchmarks(void) {
  expected x = simulate("a<image>b", true, 1, 1);
  setup.environment[0] = "FAKE_COUNTS=1";
  result r = run(program, "--bench", "--json", "--raw-prompt", "a<image>b", "--image", images[0], "--max-tokens", "1", "--runs", "2",
                 "--sequences", "2");
  json *v = json_parse(r.out);
  CHECK(r.code == 0 && v && json_get(v, "visual_tokens")->number == x.visual_tokens, "exit %d '%s' '%s'", r.code, r.out, r.err);
  check_blocks(r, &x);
  // Three runs, the first to warm up: of each the prompt, a token of both sequences, both prompts, and one of twice as many tokens.
  char wanted[64];
  const int rows = x.text_tokens + x.visual_tokens;
  snprintf(wanted, sizeof wanted, " rows %d (%d) %d (%d) ", 3 * (rows + 1 + rows + 2 * rows), 2 * rows, 3 * (1 + rows), rows + 1);
  CHECK(strstr(r.err, wanted), "'%s', wanted '%s'", r.err, wanted);
  r = run(program, "--bench", "--raw-prompt", "a<image>b", "--image", images[0], "--max-tokens", "1", "--runs", "1");
  snprintf(wanted, sizeof wanted, "%d tokens of prompt, %d of them vision tokens,", rows, x.visual_tokens);
  CHECK(strncmp(r.out, wanted, strlen(wanted)) == 0, "'%s', wanted '%s'", r.out, wanted);
}

static void dumps(void) {
  const char *dump = in_folder("dump");
  const char *files[] = {longer, shorter};
  int32_t counts[2];
  result r = run(program, "--dump", dump, "--image", longer, "--image", shorter, "--raw-prompt", "<image> <image>", "--max-tokens", "2");
  CHECK(r.code == 0 && entries(dump) == 6, "exit %d '%s', %d files", r.code, r.err, entries(dump));
  for (int i = 0; i < 2; i++) counts[i] = fake_rows(picture_of(files[i]));
  char shape[64];
  snprintf(shape, sizeof shape, "2, %d, %d", counts[0], FAKE_HIDDEN);
  const float *projected = read_npy(in_dump(dump, "projected.npy"), "<f4", shape, 2 * (size_t)counts[0] * FAKE_HIDDEN);
  const int32_t *rows = read_npy(in_dump(dump, "visual_rows.npy"), "<i4", "2,", 2);
  const int32_t *selected = read_npy(in_dump(dump, "selected.npy"), "<i4", "2, 4", 2 * FAKE_VISION_TOKENS);
  const int32_t *kept = read_npy(in_dump(dump, "kept.npy"), "<i4", "2, 8", 2 * FAKE_MOST_KEPT);
  int32_t wanted_kept[2][FAKE_MOST_KEPT], kept_counts[2] = {0};
  memset(wanted_kept, 0xFF, sizeof wanted_kept);
  int wrong = 0;
  for (int i = 0; i < 2; i++) {
    const uint8_t *picture = picture_of(files[i]);
    for (int r = 0; r < counts[0]; r++)
      for (int k = 0; k < FAKE_HIDDEN; k++)
        wrong += projected[(i * counts[0] + r) * FAKE_HIDDEN + k] != (r < counts[i] ? fake_projected(picture, r, k) + asked : 0);
    for (int r = 0; r < FAKE_VISION_TOKENS; r++) wrong += selected[i * FAKE_VISION_TOKENS + r] != fake_selected(picture, r);
    for (int r = 0; r < counts[i]; r++) {
      float row[FAKE_HIDDEN];
      for (int k = 0; k < FAKE_HIDDEN; k++) row[k] = fake_projected(picture, r, k) + asked;
      wanted_kept[0][kept_counts[0]++] = i * FAKE_VISION_TOKENS + r;
      if (fake_row_value(row) & 1) wanted_kept[1][kept_counts[1]++] = i * FAKE_VISION_TOKENS + r;
    }
  }
  CHECK(wrong == 0 && rows[0] == counts[0] && rows[1] == counts[1], "%d values, %d and %d rows", wrong, rows[0], rows[1]);
  CHECK(memcmp(kept, wanted_kept, sizeof wanted_kept) == 0, "kept %d, %d, %d and %d, %d, %d", kept[0], kept[1], kept[2], kept[8], kept[9],
        kept[10]);
  // What a program has no such files of removes those of another.
  r = run(decoder, "--dump", dump, "--image", longer, "--raw-prompt", "<image>", "--max-tokens", "1");
  CHECK(r.code == 0 && entries(dump) == 3, "exit %d '%s', %d files", r.code, r.err, entries(dump));
  run(program, "--dump", dump, "--image", longer, "--raw-prompt", "<image>", "--max-tokens", "1");
  r = run(program, "--dump", dump, "--raw-prompt", "a", "--max-tokens", "1");
  CHECK(r.code == 0 && entries(dump) == 1, "exit %d '%s', %d files", r.code, r.err, entries(dump));
}

// A program that compresses has run on all rows of the image in each block, whatever its caches have forgotten since, and on none of a text.
static void compressed(void) {
  enum { TOKEN = 9 };
  static const struct {
    int32_t tokens[8], count, text, held;  // behind the prefill
    const char *wanted;
  } cases[] = {
      {{1, -1, -2, -3, 5, TOKEN, TOKEN, 6}, 8, 5, 3, ", \"visual_tokens\": 3, \"visual_tokens_per_block\": [3, 3]"},
      {{1, 5, 6}, 3, 3, 3, ", \"visual_tokens\": 0, \"visual_tokens_per_block\": [0, 0]"},
      {{1, TOKEN, TOKEN, 6}, 4, 4, 3, ", \"visual_tokens\": 0, \"visual_tokens_per_block\": [0, 0]"},
  };
  const lmmc_model model = {.blocks = 2, .compression_token = TOKEN, .compression_count = 2};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int32_t tokens[8];
    memcpy(tokens, cases[i].tokens, sizeof tokens);
    const lmmc_prompt prompt = {.tokens = {.values = tokens, .count = (size_t)cases[i].count},
                                .text_tokens = cases[i].text,
                                .visual_tokens = cases[i].count - cases[i].text};
    const int32_t mark[] = {cases[i].count, cases[i].held, cases[i].held};
    int32_t rows[2];
    lmmc_visual_rows(NULL, &model, &prompt, mark, rows);
    lmmc_text text = {0};
    CHECK(lmmc_visual_tokens_json(&text, &model, &prompt, rows, NULL), "case %zu", i);
    CHECK(text.count == strlen(cases[i].wanted) && memcmp(text.bytes, cases[i].wanted, text.count) == 0, "case %zu: '%.*s'", i,
          (int)text.count, text.bytes);
    lmmc_text_free(&text);
  }
}

// A program that cuts caches behind the prompt says what blocks ran on by the places where rows left, whatever the caches hold.
static void cut(void) {
  int32_t arena[8] = {0, 2, 3, -1, 2, -1, -1, -1};  // two places with room for four rows
  static const int32_t points[] = {-1, 0, 1};
  const lmmc_model model = {.blocks = 3, .kept_points = 2, .kept_bound = 4, .block_points = points};
  const lmmc_memory memory = {.arena = (void *)arena};
  const int32_t mark[] = {9, 9, 6, 6};
  int32_t rows[3];
  lmmc_visual_rows(&memory, &model, &(lmmc_prompt){.text_tokens = 5, .visual_tokens = 4}, mark, rows);
  CHECK(rows[0] == 4 && rows[1] == 3 && rows[2] == 1, "%d, %d, %d", rows[0], rows[1], rows[2]);
  // A text has none, whatever the prompt before has left there.
  lmmc_visual_rows(&memory, &model, &(lmmc_prompt){.text_tokens = 5}, (int32_t[]){5, 5, 5, 5}, rows);
  CHECK(rows[0] == 0 && rows[1] == 0 && rows[2] == 0, "%d, %d, %d", rows[0], rows[1], rows[2]);
}

// The decoder's blocks run on the last of three rows that a prompt has for its image; the length behind theirs is that of the blocks ahead, which
// run on no row of token 0.
static void prefused(void) {
  const lmmc_model model = {.reducer = "fake", .blocks = 3, .counted_blocks = 2, .vision_tokens = 3, .prefused_rows = 2};
  static const struct {
    int32_t images, text, mark[4];
    const char *wanted;
  } cases[] = {
      {1, 4, {7, 5, 5, 6}, ", \"visual_tokens\": 1, \"visual_tokens_of_prefusion\": 3, \"visual_tokens_per_block\": [1, 1]"},
      {0, 4, {4, 4, 4, 0}, ", \"visual_tokens\": 0, \"visual_tokens_of_prefusion\": 0, \"visual_tokens_per_block\": [0, 0]"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const lmmc_prompt prompt = {
        .images = cases[i].images, .text_tokens = cases[i].text, .visual_tokens = cases[i].images * model.vision_tokens};
    int32_t rows[3];
    lmmc_visual_rows(NULL, &model, &prompt, cases[i].mark, rows);
    lmmc_text text = {0};
    CHECK(lmmc_visual_tokens_json(&text, &model, &prompt, rows, NULL), "case %zu", i);
    CHECK(text.count == strlen(cases[i].wanted) && memcmp(text.bytes, cases[i].wanted, text.count) == 0, "case %zu: '%.*s'", i,
          (int)text.count, text.bytes);
    lmmc_text_free(&text);
  }
}

RUN_TESTS(choose, answers, questions, benchmarks, dumps, compressed, prefused, cut)
