// GBNF, regular expressions and choices: which texts they have, and what is refused where.
#include "texts.h"

static void gbnf(void) {
  TEXTS(OF_GBNF, "root ::= \"yes\" | \"no\"", "+yes", "+no", "/y", "/", "-x", "-yesno", "-yes ");
  TEXTS(OF_GBNF, "# a comment\nroot ::= item (\",\" item)* # another\n\nitem ::= [a-c]+ |\n  \"x\"", "+a", "+abc,x,b", "/a,", "-,", "-xx",
        "-d");
  TEXTS(OF_GBNF, "root ::= (\n \"a\"\n \"b\"\n)? \"c\"", "+c", "+abc", "-ac");
}

static void gbnf_repetitions(void) {
  TEXTS(OF_GBNF, "root ::= \"a\"{2} \"b\"{1,} \"c\"{0,2}", "+aab", "+aabbbbcc", "/aa", "-ab", "-aabccc");
  TEXTS(OF_GBNF, "root ::= (\"ab\" | \"a\"){3,20} \"c\"", "+aaac", "+abaabc", "/aa", "-aac", "-abb");
  TEXTS(OF_GBNF, "root ::= [0-9]{3}{2}", "+123456", "/12345", "-1234567");
  TEXTS(OF_GBNF, "root ::= x*\nx ::= \"a\" | \"b\" x \"c\"", "+", "+abacbbacc", "/bb", "-bc", "-ac");
  TEXTS(OF_GBNF, "root ::= \"\"", "+", "-a");
}

static void gbnf_characters(void) {
  TEXTS(OF_GBNF, "root ::= \"\\x41\\u00e9\\U0001F600\\n\\t\\\"\\\\\\[\\]\"", "+A\xC3\xA9\xF0\x9F\x98\x80\n\t\"\\[]", "/A\xC3", "-A\xC2");
  TEXTS(OF_GBNF, "root ::= [^a-z\\n]", "+A", "+\xC3\xA9", "+\xF0\x9F\x98\x80", "/\xF0\x9F", "-a", "-\n", "-\xFF", "-\xC0", "-\xED\xA0",
        "-\xF4\x90", "-\xE0\x80");
  TEXTS(OF_GBNF, "root ::= .", "+a", "+\n", "+\xE2\x82\xAC", "-\x80", "-ab");
  TEXTS(OF_GBNF, "root ::= [\xC3\xA0-\xD0\xB4x-]{2}", "+x-", "+\xC3\xA9\xD0\xB4", "-\xD0\xB5", "-w");
  TEXTS(OF_GBNF, "root ::= [\\]\\[ac-]+", "+][a-c", "-b");
}

// The calculator of llama.cpp's documentation has left recursion nowhere; this one is of its kind.
static void gbnf_recursion(void) {
  TEXTS(OF_GBNF,
        "root ::= expr \"\\n\"\nexpr ::= term ([-+*/] term)*\nterm ::= num | \"(\" ws expr \")\" ws\nnum ::= [0-9]+ ws\nws ::= [ \\t]*",
        "+1\n", "+(1 +2)*3\n", "+((((7))))\n", "/(1+", "-)", "-1+\n", "-(1\n");
  TEXTS(OF_GBNF, "root ::= \"a\" root \"b\" | \"a\" root | \"c\"", "+c", "+aacb", "+aac", "+aacbb", "-acbb", "-b");
}

static void gbnf_refused(void) {
  REFUSED(OF_GBNF, "", "grammar: there is no rule 'root', which the text begins with");
  REFUSED(OF_GBNF, "root ::= a", "grammar, line 1, column 10: there is no rule of this name");
  REFUSED(OF_GBNF, "root ::= \"a\"\nroot ::= \"b\"", "grammar, line 2, column 1: a second rule of this name");
  REFUSED(OF_GBNF, "root ::= \"a", "grammar, line 1, column 10: a quoted text that is not closed");
  REFUSED(OF_GBNF, "root ::= \"a\\", "grammar, line 1, column 12: a backslash at the end");
  REFUSED(OF_GBNF, "root ::= [a", "grammar, line 1, column 10: a class that is not closed");
  REFUSED(OF_GBNF, "root ::= [b-a]", "grammar, line 1, column 11: a range that ends before it begins");
  REFUSED(OF_GBNF, "root ::= (\"a\"", "grammar, line 1, column 10: a group that is not closed");
  REFUSED(OF_GBNF, "root ::= \"a\")", "grammar, line 1, column 13: expected an item or the end of the line");
  REFUSED(OF_GBNF, "root := \"a\"", "grammar, line 1, column 6: expected '::=' behind a rule's name");
  REFUSED(OF_GBNF, "root ::= \"a\"{3,2}", "grammar, line 1, column 13: a repetition that ends before it begins");
  REFUSED(OF_GBNF, "root ::= \"a\"{x}", "grammar, line 1, column 13: expected a number behind '{'");
  REFUSED(OF_GBNF, "root ::= \"a\"{1000001}", "grammar, line 1, column 14: a repetition of more than 1000000 times");
  REFUSED(OF_GBNF, "root ::= \"\\q\"",
          "grammar, line 1, column 11: an unknown escape; expected one of \\n \\r \\t \\\\ \\\" \\[ \\] \\xHH \\uHHHH \\UHHHHHHHH");
  REFUSED(OF_GBNF, "root ::= \"\\uD800\"", "grammar, line 1, column 11: not a character");
  REFUSED(OF_GBNF, "root ::= \"\xC3\xA9\xFF\"", "grammar, line 1, column 12: a byte that is no UTF-8");
  REFUSED(OF_GBNF, "root ::= <think>", "grammar, line 1, column 10: tokens in angle brackets are not supported");
  REFUSED(OF_GBNF, "root ::= list\n\nlist ::= list \"a\" | \"b\"",
          "grammar, line 3, rule 'list': it begins with itself (left recursion); expected something in front of each way back to it");
  REFUSED(OF_GBNF, "root ::= e a\ne ::= \"x\"?\na ::= e b \"1\" | \"2\"\nb ::= e a",
          "grammar, line 3, rule 'a': it begins with itself (left recursion); expected something in front of each way back to it");
  REFUSED(OF_GBNF, "root ::= \"(\" root \")\"", "the grammar has no text at all");
  REFUSED(OF_GBNF, "root ::= (\"a\"?){100}",
          "grammar, line 1, rule 'root': a repetition with a large limit of what may be empty; expected a part that has a text");
}

static void regex(void) {
  TEXTS(OF_REGEX, "", "+", "-a");
  TEXTS(OF_REGEX, "a|bc|", "+", "+a", "+bc", "/b", "-ab");
  TEXTS(OF_REGEX, "^(?:ab)+c*$", "+ab", "+ababcc", "/a", "/aba", "-ac");
  TEXTS(OF_REGEX, "(?<year>\\d{4})-(0[1-9]|1[0-2])", "+2024-12", "/2024-1", "-2024-13", "-x");
  TEXTS(OF_REGEX, "\\w+\\s\\S", "+ab_9 x", "+a\tb",
        "+a\xC2\xA0"
        "b",
        "-\xC3\xA9", "/a ", "-a  ");
  TEXTS(OF_REGEX, "[^\\d\\s]{2,3}?", "+ab", "+a,c", "-1", "-a ", "-abcd", "-\xD9\xA3");
  TEXTS(OF_REGEX, "\\D\\W", "+a,", "/-", "-1", "-aa");
  TEXTS(OF_REGEX, ".", "+a", "+\xC3\xA9", "-\n", "-\r", "-\xE2\x80\xA8");
  TEXTS(OF_REGEX, "\\x41\\u00e9\\u{1F600}\\uD83D\\uDE00\\cA\\0\\/\\.", "/A\xC3\xA9\xF0\x9F\x98\x80\xF0\x9F\x98\x80\x01");
  TEXTS(OF_REGEX, "a{2}b{0,1}c{1,}d{,2}", "+aacd{,2}", "+aabccd{,2}", "-aad");
  TEXTS(OF_REGEX, "[^]", "+x", "+\n", "-\xFF");
  TEXTS(OF_REGEX, "[a\\-z.\\b]+", "+a-z.\b", "-b");
  TEXTS(OF_REGEX, "(a|ab)(c|bcd)(d*)", "+ac", "+abcd", "+abcdd", "+abcddd", "/ab", "-ad");
}

static void regex_refused(void) {
  REFUSED(OF_REGEX, "a(?=b)", "regular expression, character 2: look-around is not supported");
  REFUSED(OF_REGEX, "(?<!b)", "regular expression, character 1: look-around is not supported");
  REFUSED(OF_REGEX, "(a)\\1", "regular expression, character 4: back-references are not supported");
  REFUSED(OF_REGEX, "\xC3\xA9\\b", "regular expression, character 2: word boundaries are not supported");
  REFUSED(OF_REGEX, "\\p{L}", "regular expression, character 1: classes of Unicode properties are not supported");
  REFUSED(OF_REGEX, "a^b", "regular expression, character 2: anchors are supported only at the ends of the expression");
  REFUSED(OF_REGEX, "(a", "regular expression, character 1: a group that is not closed");
  REFUSED(OF_REGEX, "a)", "regular expression, character 2: a group is closed that was not opened");
  REFUSED(OF_REGEX, "[a", "regular expression, character 1: a class that is not closed");
  REFUSED(OF_REGEX, "[z-a]", "regular expression, character 2: a range that ends before it begins");
  REFUSED(OF_REGEX, "[a-\\d]", "regular expression, character 2: a range from or to a class");
  REFUSED(OF_REGEX, "*a", "regular expression, character 1: nothing that could be repeated");
  REFUSED(OF_REGEX, "a**", "regular expression, character 2: a repetition of a repetition");
  REFUSED(OF_REGEX, "a{3,2}", "regular expression, character 2: a repetition that ends before it begins");
  REFUSED(OF_REGEX, "\\uD800", "regular expression, character 1: half a surrogate pair");
  REFUSED(OF_REGEX, "\\q", "regular expression, character 1: an unknown escape");
  REFUSED(OF_REGEX, "a\xFF", "regular expression, character 2: a byte that is no UTF-8");
  REFUSED(OF_REGEX, "[]x]", "the grammar has no text at all");
  REFUSED(OF_REGEX, "[^\\u0000-\\u{10FFFF}]", "the grammar has no text at all");
  char deep[1000];
  memset(deep, '(', sizeof deep);
  check_refused(OF_REGEX, deep, sizeof deep, "regular expression, character 201: groups are nested more than 200 deep");
}

static bool read_choices(lmmc_grammar *g, const lmmc_span *texts, size_t count, lmmc_error *e) {
  lmmc_rules r;
  lmmc_rules_open(&r);
  *g = (lmmc_grammar){0};
  const bool done = lmmc_choices_read(&r, texts, count, e) && lmmc_grammar_compile(g, &r, e);
  lmmc_rules_close(&r);
  return done;
}

static void choices(void) {
  enum { MANY = 20000 };
  lmmc_grammar g;
  lmmc_error e = {0};
  const lmmc_span few[] = {{"cat", 3}, {"category", 8}, {"dog", 3}, {"cat", 3}, {"\xC3\xA9", 2}};
  CHECK(read_choices(&g, few, 5, &e), "%s", e.message);
  CHECK(follow(&g, "cat", 3) == 2 && follow(&g, "categ", 5) == 1 && follow(&g, "category", 8) == 2 && follow(&g, "dogs", 4) == 0, "few");
  CHECK(follow(&g, "\xC3", 1) == 1 && follow(&g, "\xC3\xA9", 2) == 2, "of two bytes");
  lmmc_grammar_close(&g);
  static char texts[MANY][24];
  static lmmc_span many[MANY];
  for (int i = 0; i < MANY; i++) many[i] = (lmmc_span){texts[i], (size_t)snprintf(texts[i], sizeof texts[i], "the choice %d", i * 7919)};
  CHECK(read_choices(&g, many, MANY, &e), "%s", e.message);
  CHECK(follow(&g, "the choice 7919", 15) == 2 && follow(&g, "the choice 7920", 15) < 2, "many");
  // What they share stands once.
  CHECK(g.state_count < 6 * MANY, "%u states", g.state_count);
  lmmc_grammar_close(&g);
  const lmmc_span bad[] = {{"a", 1}, {"b\xFF", 2}}, empty[] = {{"", 0}};
  CHECK(!read_choices(&g, bad, 2, &e) && e.code == 2 && strcmp(e.message, "choice 2, byte 2: no UTF-8") == 0, "%s", e.message);
  CHECK(!read_choices(&g, empty, 1, &e) && strcmp(e.message, "choice 1 is empty") == 0, "%s", e.message);
  CHECK(!read_choices(&g, NULL, 0, &e) && strcmp(e.message, "there is no choice; expected at least one text") == 0, "%s", e.message);
}

// Limits of any size cost neither states nor time.
static void large_repetitions(void) {
  lmmc_grammar g;
  lmmc_error e = {0};
  static const char *const grammars[] = {"root ::= [ab]{1000,1000000}", "root ::= ([ab]{10,1000} \",\"){0,100000}",
                                         "root ::= ((((\"a\" | \"b\"){9}){9}){9}){9}", "root ::= x{500000}\nx ::= \"a\" | \"b\""};
  static char text[2000];
  memset(text, 'a', sizeof text);
  for (size_t i = 0; i < sizeof grammars / sizeof *grammars; i++) {
    CHECK(read_grammar(&g, OF_GBNF, grammars[i], strlen(grammars[i]), &e), "%s: %s", grammars[i], e.message);
    CHECK(g.state_count < 300, "%s: %u states", grammars[i], g.state_count);
    CHECK(follow(&g, text, 999) == 1, "%s", grammars[i]);
    if (i == 0) CHECK(follow(&g, text, 1000) == 2 && follow(&g, text, 2000) == 2, "%s", grammars[i]);
    if (i == 1)
      CHECK(follow(&g, text, 1001) == 0 && follow(&g, "aaaaaaaaaa,bbbbbbbbbb,", 22) == 2 && follow(&g, "aaaaaaaaa,", 10) == 0, "%s",
            grammars[i]);
    lmmc_grammar_close(&g);
  }
  // 9^4 = 6561 of them and no more.
  CHECK(read_grammar(&g, OF_GBNF, "root ::= ((([ab]{9}){9}){9}){2}", 31, &e), "%s", e.message);
  CHECK(follow(&g, text, 1457) == 1 && follow(&g, text, 1458) == 2 && follow(&g, text, 1459) == 0, "a product of limits");
  lmmc_grammar_close(&g);
}

// A stack has a bottom: what is too deep is not begun, so a text can always be ended.
static void deep_recursion(void) {
  lmmc_grammar g;
  lmmc_machine m;
  lmmc_matcher x;
  lmmc_error e = {0};
  const char *text = "root ::= a\na ::= \"(\" b \")\" | \"x\"\nb ::= \"[\" a \"]\"";
  CHECK(read_grammar(&g, OF_GBNF, text, strlen(text), &e), "%s", e.message);
  CHECK(lmmc_machine_open(&m, &g, &bytes_vocabulary, (lmmc_end_tokens){&end_token, 1}, 0, &e) && lmmc_matcher_open(&x, &m, &e), "%s",
        e.message);
  int depth = 0, closed = 0;
  while (lmmc_matcher_take(&x, depth % 2 ? '[' : '(', &e)) depth++;
  CHECK(depth >= 400 && depth % 2 == 0, "%d", depth);
  CHECK(lmmc_matcher_take(&x, 'x', &e), "%s", e.message);
  while (lmmc_matcher_take(&x, (depth - closed) % 2 ? ')' : ']', &e)) closed++;
  CHECK(closed == depth && lmmc_matcher_may_end(&x), "%d of %d closed", closed, depth);
  lmmc_matcher_close(&x);
  lmmc_machine_close(&m);
  lmmc_grammar_close(&g);
  // A call at a rule's end leaves nothing on the stack.
  CHECK(read_grammar(&g, OF_GBNF, "root ::= \"a\" root | \"b\" other\nother ::= \"c\" root | \"d\"", 54, &e), "%s", e.message);
  static char long_text[20001];
  memset(long_text, 'a', sizeof long_text);
  long_text[20000] = 'b';
  CHECK(follow(&g, long_text, sizeof long_text) == 1, "a tail call");
  lmmc_grammar_close(&g);
}

// Rules that call each other without end have no text, and are not needed where others do.
static void without_text(void) {
  TEXTS(OF_GBNF, "root ::= \"a\" | \"b\" loop\nloop ::= \"c\" loop", "+a", "-b");
  TEXTS(OF_GBNF, "root ::= \"a\" (loop){0,100} \"b\"\nloop ::= \"c\" loop", "+ab", "-ac");
}

int main(void) {
  open_bytes();
  gbnf();
  gbnf_repetitions();
  gbnf_characters();
  gbnf_recursion();
  gbnf_refused();
  regex();
  regex_refused();
  choices();
  large_repetitions();
  deep_recursion();
  without_text();

  lmmc_text_free(&bytes_blob);
  return check_report();
}
