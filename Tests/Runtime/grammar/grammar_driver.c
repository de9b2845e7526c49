// Random answers under grammars, over a real vocabulary: what schemas.py judges. Reads requests from standard input and answers each on
// standard output:
//   grammar_driver VOCABULARY [CHARACTERS ITEMS MEMBERS]     the limits of schemas that set none; those of large programs by default
//   request: a line `KIND SEED TOKENS BYTES` (schema, gbnf or regex) and as many bytes
//   answer:  a line `STATUS BYTES` (stop, length or refused) and as many bytes, the text or the reason
// A token is drawn of those that the mask allows: any of them with the same chance, or first its length. At the end it tells on standard
// error how long the masks took.
#include <time.h>

#include "grammar/gbnf.h"
#include "grammar/matcher.h"
#include "grammar/schema.h"
#include "vocabulary_file.h"

static lmmc_vocabulary vocabulary;
static uint64_t *mask;
static size_t words;
static double *times;
static size_t time_count, time_room;
static uint64_t state;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static uint64_t draw(uint64_t below) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (state >> 33) % below;
}

static void note(double time) {
  if (time_count == time_room) times = realloc(times, (time_room = time_room ? 2 * time_room : 1024) * sizeof *times);
  times[time_count++] = time;
}

static int32_t nth(uint64_t n) {
  for (size_t w = 0; w < words; w++) {
    const uint64_t count = (uint64_t)__builtin_popcountll(mask[w]);
    if (n >= count) {
      n -= count;
      continue;
    }
    uint64_t word = mask[w];
    while (n--) word &= word - 1;
    return (int32_t)(64 * w) + __builtin_ctzll(word);
  }
  return -1;
}

// Walks through one grammar; the text in `out`.
static const char *walk(const lmmc_grammar *g, uint64_t seed, long tokens, lmmc_text *out) {
  lmmc_machine machine;
  lmmc_matcher matcher;
  lmmc_error e = {0};
  const int32_t end = (int32_t)vocabulary.header.rows - 1;
  const char *status = "length";
  uint8_t bytes[1024];
  state = seed * 2 + 1;
  const double begin = now();
  if (!lmmc_machine_open(&machine, g, &vocabulary, (lmmc_end_tokens){&end, 1}, 0, &e) || !lmmc_matcher_open(&matcher, &machine, &e)) {
    lmmc_text_format(out, NULL, "%s", e.message);
    return "failed";
  }
  double opened = now() - begin;
  for (long i = 0; i < tokens; i++) {
    const double before = now();
    if (!lmmc_matcher_mask(&matcher, mask, &e)) {
      lmmc_text_format(out, NULL, "%s", e.message);
      status = "failed";
      break;
    }
    note(now() - before + opened);
    opened = 0;
    uint64_t count = 0;
    for (size_t w = 0; w < words; w++) count += (uint64_t)__builtin_popcountll(mask[w]);
    if (count == 0) {
      lmmc_text_format(out, NULL, " <nothing is allowed here>");
      status = "failed";
      break;
    }
    int32_t id = nth(draw(count));
    if (lmmc_matcher_may_end(&matcher) && draw(3) == 0) id = end;
    if (id == end) {
      status = "stop";
      break;
    }
    // Half of the time a short token, as answers mostly have them.
    for (int again = 0; again < 20 && draw(2) == 0; again++) {
      const int32_t other = nth(draw(count));
      if (lmmc_vocabulary_text(&vocabulary, other, bytes) < lmmc_vocabulary_text(&vocabulary, id, bytes) && other != end) id = other;
    }
    const bool first = lmmc_matcher_taken(&matcher) == 0;
    if (!lmmc_matcher_take(&matcher, id, &e)) {
      lmmc_text_format(out, NULL, " <%s>", e.message);
      status = "failed";
      break;
    }
    uint32_t length = lmmc_vocabulary_text(&vocabulary, id, bytes), dropped = 0;
    if (first && vocabulary.header.flags & LMMC_VOCABULARY_DROPS_SPACE && bytes[0] == ' ' && id != vocabulary.header.kept_space)
      dropped = 1;
    lmmc_text_append(out, bytes + dropped, length - dropped, NULL);
  }
  lmmc_matcher_close(&matcher);
  lmmc_machine_close(&machine);
  return status;
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  if (argc != 2 && argc != 5) return fprintf(stderr, "usage: grammar_driver VOCABULARY [CHARACTERS ITEMS MEMBERS]\n"), 2;
  lmmc_schema_limits limits = {256, 16, 8};
  if (argc == 5) limits = (lmmc_schema_limits){(uint32_t)atoi(argv[2]), (uint32_t)atoi(argv[3]), (uint32_t)atoi(argv[4])};
  open_vocabulary_file(argv[1], &vocabulary);
  words = lmmc_mask_words(&vocabulary);
  mask = malloc(words * sizeof *mask);
  char kind[16];
  unsigned long seed;
  long tokens;
  size_t bytes;
  double compiled = 0, longest = 0;
  while (scanf("%15s %lu %ld %zu", kind, &seed, &tokens, &bytes) == 4) {
    getchar();
    char *text = malloc(bytes + 1);
    if (fread(text, 1, bytes, stdin) != bytes) return 1;
    lmmc_rules rules;
    lmmc_grammar grammar = {0};
    lmmc_error e = {0};
    lmmc_text out = {0};
    const double before = now();
    lmmc_rules_open(&rules);
    bool read = strcmp(kind, "gbnf") == 0    ? lmmc_gbnf_read(&rules, text, bytes, &e)
                : strcmp(kind, "regex") == 0 ? lmmc_regex_read(&rules, text, bytes, &e)
                                             : lmmc_schema_read(&rules, text, bytes, &limits, &e);
    read = read && lmmc_grammar_compile(&grammar, &rules, &e);
    const double took = now() - before;
    compiled += took;
    if (took > longest) longest = took;
    const char *status = read ? walk(&grammar, seed, tokens, &out) : "refused";
    if (!read) lmmc_text_format(&out, NULL, "%s", e.message);
    printf("%s %zu\n", status, out.count);
    fwrite(out.bytes, 1, out.count, stdout);
    fflush(stdout);
    lmmc_text_free(&out);
    lmmc_grammar_close(&grammar);
    lmmc_rules_close(&rules);
    free(text);
  }
  if (time_count) {
    qsort(times, time_count, sizeof *times, ascending);
    double sum = 0;
    for (size_t i = 0; i < time_count; i++) sum += times[i];
    fprintf(stderr, "masks %zu, microseconds: mean %.1f, median %.1f, 90%% %.1f, 99%% %.1f, 99.9%% %.1f, longest %.1f\n", time_count,
            sum / (double)time_count, times[time_count / 2], times[time_count * 9 / 10], times[time_count * 99 / 100],
            times[time_count * 999 / 1000], times[time_count - 1]);
    fprintf(stderr, "reading grammars: %.0f microseconds in all, longest %.0f\n", compiled, longest);
  }
  return 0;
}
