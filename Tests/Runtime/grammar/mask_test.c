// Masks against all tokens tried one by one, and the matcher against a slow recogniser, on random grammars and vocabularies; then what a
// matcher promises beside: copies, taking back, what is forced, memory that is bounded.
#include "reference.h"
#include "texts.h"

enum { MOST_TOKENS = 400, RULES = 4 };

static uint64_t state = 1;
static unsigned draw(unsigned below) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)((state >> 33) % below);
}

// Letters that grammars and tokens are made of; the two bytes of a character among them, and what JSON escapes.
static const uint8_t letters[] = {'a', 'b', 'c', '"', '\\', ' ', 0xC3, 0xA9};

typedef struct {
  uint8_t bytes[MOST_TOKENS][8];
  lmmc_token_bytes tokens[MOST_TOKENS];
  uint32_t count;
  lmmc_text blob;
  lmmc_vocabulary v;
} vocabulary;

// Each letter, some tokens of several, some of them twice, and a few without text.
static void draw_vocabulary(vocabulary *v, uint32_t flags) {
  lmmc_token_bytes sorted[MOST_TOKENS];
  lmmc_error e = {0};
  v->count = 20 + draw(MOST_TOKENS - 20);
  for (uint32_t i = 0; i < v->count; i++) {
    const uint32_t length = i < sizeof letters ? 1 : draw(20) == 0 ? 0 : 1 + draw(7);
    for (uint32_t k = 0; k < length; k++) v->bytes[i][k] = i < sizeof letters ? letters[i] : letters[draw(draw(2) ? 3 : sizeof letters)];
    v->tokens[i] = (lmmc_token_bytes){v->bytes[i], length, (int32_t)i};
  }
  memcpy(sorted, v->tokens, sizeof sorted);
  v->blob = (lmmc_text){0};
  CHECK(lmmc_vocabulary_build(sorted, v->count, v->count + 1, flags, -1, &v->blob, &e) &&
            lmmc_vocabulary_open(&v->v, v->blob.bytes, v->blob.count, &e),
        "%s", e.message);
  for (uint32_t i = 0; i < v->count; i++) {
    uint8_t out[LMMC_LONGEST_TOKEN];
    const uint32_t count = lmmc_vocabulary_text(&v->v, (int32_t)i, out);
    CHECK(count == v->tokens[i].count && memcmp(out, v->bytes[i], count) == 0, "token %u has %u bytes", i, count);
  }
}

static lmmc_expression draw_expression(lmmc_rules *r, uint32_t rule, int depth);

// One that has a byte at least, so that a call behind it is no left recursion.
static lmmc_expression draw_solid(lmmc_rules *r) {
  const uint8_t *letter = &letters[draw(sizeof letters)];
  if (draw(3) == 0) return lmmc_rules_text(r, letters + draw(4), 1 + draw(4));
  if (draw(4) == 0) return lmmc_rules_bytes(r, 'a', (uint8_t)('a' + draw(3)));
  return lmmc_rules_bytes(r, *letter, *letter);
}

static lmmc_expression draw_expression(lmmc_rules *r, uint32_t rule, int depth) {
  lmmc_expression parts[4];
  const unsigned count = 2 + draw(2), kind = depth > 3 ? 0 : draw(8);
  switch (kind) {
    case 1:
    case 2:
      for (unsigned i = 0; i < count; i++) parts[i] = draw_expression(r, rule, depth + 1);
      return lmmc_rules_sequence(r, parts, count);
    case 3:
      for (unsigned i = 0; i < count; i++) parts[i] = draw_expression(r, rule, depth + 1);
      return lmmc_rules_choice(r, parts, count);
    case 4: {
      // Some limits are written out, others counted.
      const uint32_t least = draw(4), most = draw(3) == 0 ? LMMC_UNLIMITED : least + draw(2) * (1 + draw(30));
      return lmmc_rules_repeat(r, draw(2) ? draw_solid(r) : lmmc_rules_pair(r, draw_solid(r), draw_expression(r, rule, depth + 1)), least,
                               most);
    }
    case 5:
      // Later rules, and any of them behind a byte. Each has a way out.
      if (rule + 1 < RULES) return lmmc_rules_call(r, rule + 1 + draw(RULES - rule - 1));
      return draw_solid(r);
    case 6: return lmmc_rules_optional(r, lmmc_rules_pair(r, draw_solid(r), lmmc_rules_call(r, draw(RULES))));
    case 7: {
      const lmmc_graph_edge edges[] = {
          {0, 2, draw_solid(r)}, {2, 0, draw_solid(r)}, {2, 1, draw_expression(r, rule, depth + 1)}, {0, 1, draw_solid(r)}};
      return lmmc_rules_graph(r, 3, edges, 4);
    }
    default: return draw_solid(r);
  }
}

static void draw_grammar(lmmc_rules *r) {
  lmmc_rules_open(r);
  for (uint32_t i = 0; i < RULES; i++) lmmc_rules_declare(r);
  for (uint32_t i = 0; i < RULES; i++) lmmc_rules_define(r, i, draw_expression(r, i, 0));
}

static int walks, lossy;

static bool in_mask(const uint64_t *mask, uint32_t id) { return mask[id / 64] >> id % 64 & 1; }

// The tokens that the slow recogniser allows behind a text; the count.
static uint32_t allowed_tokens(const lmmc_rules *r, const vocabulary *v, const uint8_t *text, uint32_t count, bool *allowed) {
  uint8_t all[REFERENCE_LONGEST];
  uint32_t found = 0;
  memcpy(all, text, count);
  for (uint32_t i = 0; i < v->count; i++) {
    const bool drops = count == 0 && v->v.header.flags & LMMC_VOCABULARY_DROPS_SPACE && v->tokens[i].count && v->bytes[i][0] == ' ';
    memcpy(all + count, v->bytes[i] + drops, v->tokens[i].count - drops);
    allowed[i] = v->tokens[i].count && reference_follow(r, all, count + v->tokens[i].count - drops) > 0;
    found += allowed[i];
  }
  return found;
}

static void walk(const lmmc_rules *r, const lmmc_grammar *g, const vocabulary *v, size_t limit) {
  lmmc_machine m;
  lmmc_matcher x, copy;
  lmmc_error e = {0};
  const int32_t end = (int32_t)v->count;
  CHECK(lmmc_machine_open(&m, g, &v->v, (lmmc_end_tokens){&end, 1}, limit, &e) && lmmc_matcher_open(&x, &m, &e), "%s", e.message);
  walks++;
  uint64_t mask[MOST_TOKENS / 64 + 1], again[MOST_TOKENS / 64 + 1];
  uint8_t text[REFERENCE_LONGEST];
  uint32_t count = 0, before = 0;
  while (count + 10 < REFERENCE_LONGEST) {
    bool allowed[MOST_TOKENS];
    const uint32_t found = allowed_tokens(r, v, text, count, allowed);
    const bool ends = reference_follow(r, text, count) == 2;
    CHECK(lmmc_matcher_mask(&x, mask, &e), "%s", e.message);
    uint32_t wrong = 0;
    // More ways at once than are followed: texts are lost, and none is made.
    for (uint32_t i = 0; i < v->count; i++) wrong += m.lossy ? in_mask(mask, i) > allowed[i] : in_mask(mask, i) != allowed[i];
    CHECK(wrong == 0, "%u of %u tokens are wrong behind '%.*s'", wrong, v->count, (int)count, text);
    if (m.lossy) {
      lossy++;
      break;
    }
    CHECK(in_mask(mask, v->count) == ends && lmmc_matcher_may_end(&x) == ends, "the end behind '%.*s'", (int)count, text);
    if (found == 0 || wrong) break;
    uint32_t id = draw(v->count);
    const uint32_t refused = id;
    while (!allowed[id]) id = (id + 1) % v->count;
    if (!allowed[refused]) CHECK(!lmmc_matcher_take(&x, (int32_t)refused, &e) && e.code == 2, "token %u is taken", refused);
    // What is taken back and copied is as it was.
    CHECK(lmmc_matcher_copy(&copy, &x, &e) && lmmc_matcher_take(&x, (int32_t)id, &e), "%s", e.message);
    lmmc_matcher_cut(&x, 1);
    CHECK(lmmc_matcher_taken(&x) == before && lmmc_matcher_mask(&x, again, &e), "%s", e.message);
    CHECK(memcmp(mask, again, sizeof *mask * lmmc_mask_words(&v->v)) == 0, "taking back changes a mask");
    CHECK(lmmc_matcher_take(&copy, (int32_t)id, &e) && lmmc_matcher_take(&x, (int32_t)id, &e), "%s", e.message);
    CHECK(lmmc_matcher_mask(&copy, mask, &e) && lmmc_matcher_mask(&x, again, &e), "%s", e.message);
    CHECK(memcmp(mask, again, sizeof *mask * lmmc_mask_words(&v->v)) == 0, "a copy differs");
    lmmc_matcher_close(&copy);
    const bool drops = count == 0 && v->v.header.flags & LMMC_VOCABULARY_DROPS_SPACE && v->bytes[id][0] == ' ';
    memcpy(text + count, v->bytes[id] + drops, v->tokens[id].count - drops);
    count += v->tokens[id].count - drops;
    before++;
    if (v->v.header.flags & LMMC_VOCABULARY_DROPS_SPACE && count == 0) break;
  }
  // What a first token took is known after any number of drops of memory.
  lmmc_matcher_cut(&x, before);
  CHECK(lmmc_matcher_taken(&x) == 0 && lmmc_matcher_mask(&x, mask, &e), "%s", e.message);
  lmmc_matcher_close(&x);
  lmmc_machine_close(&m);
}

static void random_grammars(void) {
  static vocabulary v;
  int refused = 0;
  for (int i = 0; i < 120; i++) {
    lmmc_rules r;
    lmmc_grammar g;
    lmmc_error e = {0};
    draw_vocabulary(&v, draw(4) == 0 ? LMMC_VOCABULARY_DROPS_SPACE : 0);
    draw_grammar(&r);
    if (lmmc_grammar_compile(&g, &r, &e)) {
      // A machine of no memory forgets at each step.
      for (int k = 0; k < 3; k++) walk(&r, &g, &v, k == 0 ? 1 : 0);
    } else {
      refused++;
    }
    lmmc_grammar_close(&g);
    lmmc_rules_close(&r);
    lmmc_text_free(&v.blob);
  }
  CHECK(refused < 60, "%d of 120 grammars are refused", refused);
}

// Strings as JSON has them: all safe tokens at once, by their number of characters.
static void strings(void) {
  static const char *const patterns[] = {
      "root ::= [^\"\\\\\\x00-\\x1f]* \"\\\"\"", "root ::= ([^\"\\\\\\x00-\\x1f] | \"\\\\\" [abc]){2,9} \"\\\"\" \"b\"",
      "root ::= \"a\" s \" \" s\ns ::= \"\\\"\" [^\"\\\\\\x00-\\x1f]{0,12} \"\\\"\"", "root ::= [ab]{3,11} [a-c]{2,8}",
      "root ::= (s \",\"?){1,30}\ns ::= ([^\"\\\\\\x00-\\x1f]{1,8} \"\\\"\")"};
  static vocabulary v;
  for (size_t i = 0; i < 40; i++) {
    lmmc_rules r;
    lmmc_grammar g;
    lmmc_error e = {0};
    const char *text = patterns[i % (sizeof patterns / sizeof *patterns)];
    lmmc_rules_open(&r);
    draw_vocabulary(&v, 0);
    CHECK(v.v.header.safe_tokens > 4 && v.v.header.safe_tokens < v.v.header.tokens, "%u safe tokens", v.v.header.safe_tokens);
    CHECK(lmmc_gbnf_read(&r, text, strlen(text), &e) && lmmc_grammar_compile(&g, &r, &e), "%s: %s", text, e.message);
    walk(&r, &g, &v, 0);
    lmmc_grammar_close(&g);
    lmmc_rules_close(&r);
    lmmc_text_free(&v.blob);
  }
}

static void forced(void) {
  lmmc_grammar g;
  lmmc_machine m;
  lmmc_matcher x;
  lmmc_error e = {0};
  const char *text = "root ::= \"one \" (\"two\" | \"ten\" \"!\"?)";
  uint8_t out[32];
  uint64_t mask[5];
  CHECK(read_grammar(&g, OF_GBNF, text, strlen(text), &e), "%s", e.message);
  CHECK(lmmc_machine_open(&m, &g, &bytes_vocabulary, (lmmc_end_tokens){&end_token, 1}, 0, &e) && lmmc_matcher_open(&x, &m, &e), "%s",
        e.message);
  CHECK(lmmc_matcher_forced(&x, out, sizeof out) == 5 && memcmp(out, "one t", 5) == 0, "at the beginning");
  CHECK(lmmc_matcher_forced(&x, out, 2) == 2, "cut short");
  CHECK(lmmc_matcher_mask(&x, mask, &e) && lmmc_mask_single(mask, 5) == 'o', "a single token");
  for (const char *c = "one t"; *c; c++) CHECK(lmmc_matcher_take(&x, *c, &e), "%s", e.message);
  CHECK(lmmc_matcher_forced(&x, out, sizeof out) == 0, "two ways");
  CHECK(lmmc_matcher_mask(&x, mask, &e) && lmmc_mask_single(mask, 5) == -1, "two tokens");
  CHECK(lmmc_matcher_allows(&x, (const uint8_t *)"wo", 2) && lmmc_matcher_allows(&x, (const uint8_t *)"en!", 3), "allowed");
  CHECK(!lmmc_matcher_allows(&x, (const uint8_t *)"wo!", 3), "not allowed");
  CHECK(lmmc_matcher_take(&x, 'e', &e) && lmmc_matcher_forced(&x, out, sizeof out) == 1, "up to where it may end");
  CHECK(lmmc_matcher_take(&x, 'n', &e) && lmmc_matcher_may_end(&x) && lmmc_matcher_forced(&x, out, sizeof out) == 0, "where it may end");
  CHECK(!lmmc_matcher_take(&x, end_token, &e) && !lmmc_matcher_take(&x, 300, &e) && !lmmc_matcher_take(&x, -1, &e), "no text");
  CHECK(lmmc_matcher_take(&x, '!', &e) && lmmc_matcher_mask(&x, mask, &e) && lmmc_mask_single(mask, 5) == end_token, "the end alone");
  lmmc_matcher_close(&x);
  lmmc_machine_close(&m);
  lmmc_grammar_close(&g);
}

// Grammars that deterministic automata of would be too large take a place for each way, and what is too many is left out.
static void ambiguous(void) {
  static const char *const grammars[] = {"root ::= [ab]* \"a\" [ab]{18} \"c\"", "root ::= (\"a\" | \"aa\" | \"aaa\"){1,1000} \"b\"",
                                         "root ::= s\ns ::= \"a\" s \"b\" | \"a\" s \"c\" | \"a\" s | \"a\"",
                                         "root ::= (\"a\"* \"b\"?){1,}"};
  for (size_t i = 0; i < sizeof grammars / sizeof *grammars; i++) {
    lmmc_grammar g;
    lmmc_machine m;
    lmmc_matcher x;
    lmmc_error e = {0};
    CHECK(read_grammar(&g, OF_GBNF, grammars[i], strlen(grammars[i]), &e), "%s: %s", grammars[i], e.message);
    CHECK(lmmc_machine_open(&m, &g, &bytes_vocabulary, (lmmc_end_tokens){&end_token, 1}, 1 << 20, &e) && lmmc_matcher_open(&x, &m, &e),
          "%s", e.message);
    for (int k = 0; k < 400; k++) {
      uint64_t mask[5];
      CHECK(lmmc_matcher_mask(&x, mask, &e), "%s: %s", grammars[i], e.message);
      const int32_t next = draw(2) && in_mask(mask, 'b') ? 'b' : in_mask(mask, 'a') ? 'a' : -1;
      if (next < 0 || !lmmc_matcher_take(&x, next, &e)) break;
    }
    // Wherever it stands, some token or the end is allowed.
    uint64_t mask[5], any = 0;
    CHECK(lmmc_matcher_mask(&x, mask, &e), "%s", e.message);
    for (int k = 0; k < 5; k++) any |= mask[k];
    CHECK(any, "%s: nothing is allowed after %zu tokens", grammars[i], lmmc_matcher_taken(&x));
    lmmc_matcher_close(&x);
    lmmc_machine_close(&m);
    lmmc_grammar_close(&g);
  }
}

static void damaged_vocabulary(void) {
  static vocabulary v;
  draw_vocabulary(&v, 0);
  lmmc_error e = {0};
  int opened = 0;
  for (size_t cut = 0; cut < v.blob.count; cut += 8) {
    lmmc_vocabulary other;
    CHECK(!lmmc_vocabulary_open(&other, v.blob.bytes, cut, &e) && e.code == 1, "%zu bytes of %zu are taken", cut, v.blob.count);
  }
  for (int i = 0; i < 3000; i++) {
    lmmc_vocabulary other;
    const size_t at = draw((unsigned)v.blob.count);
    const char was = v.blob.bytes[at];
    v.blob.bytes[at] ^= (char)(1 << draw(8));
    // Whatever is taken can be used.
    if (lmmc_vocabulary_open(&other, v.blob.bytes, v.blob.count, &e)) {
      uint8_t out[LMMC_LONGEST_TOKEN];
      for (uint32_t id = 0; id < other.header.rows && id < 500; id++) lmmc_vocabulary_text(&other, (int32_t)id, out);
      opened++;
    }
    v.blob.bytes[at] = was;
  }
  CHECK(opened < 2900, "%d of 3000 damaged ones are taken", opened);
  lmmc_text_free(&v.blob);
}

int main(void) {
  open_bytes();
  random_grammars();
  strings();
  forced();
  ambiguous();
  damaged_vocabulary();
  CHECK(10 * lossy < walks, "%d of %d walks lost texts", lossy, walks);
  lmmc_text_free(&bytes_blob);
  return check_report();
}
