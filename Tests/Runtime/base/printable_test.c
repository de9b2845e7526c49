// What reaches a terminal, and JSON strings of any bytes.
#include "base/printable.h"

#include <stdlib.h>
#include <string.h>

#include "../check.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

static void test_shown(void) {
  static const struct {
    const char *text, *shown;
  } cases[] = {
      {"a\033[2Jb", "a\\u{1b}[2Jb"},
      {"line\nend\ttab\r", "line\\nend\\ttab\\r"},
      {"caf\xE9", "caf\\xe9"},
      {"caf\xC3\xA9", "caf\xC3\xA9"},
      {"\xC2\x9B"
       "2J\x7F",
       "\\u{9b}2J\\u{7f}"},  // C1's CSI, DEL
      {"\xE2\x80\xAE"
       "a\xE2\x81\xA6"
       "b\xE2\x80\x8E",
       "\\u{202e}a\\u{2066}b\\u{200e}"},                                                          // right-to-left override, isolate, mark
      {"\xE2\x80\xA8\xF3\xA0\x81\x81", "\\u{2028}\\u{e0041}"},                                    // line separator, a tag
      {"\xC0\xAF\xED\xA0\x80\xF4\x90\x80\x80", "\\xc0\\xaf\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80"},  // overlong, surrogate, too large
      {"\xF0\x9F\x99\x82\xF4\x8F\xBA\xA9\xE2\x82", "\xF0\x9F\x99\x82\xF4\x8F\xBA\xA9\\xe2\\x82"},
  };
  char out[200];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    lmmc_printable(out, sizeof out, cases[i].text);
    CHECK(!strcmp(out, cases[i].shown), "%zu: %s", i, out);
    lmmc_error e = {0};
    lmmc_fail(&e, 1, "in '%s'", cases[i].text);
    CHECK(strlen(e.message) == strlen(cases[i].shown) + 5 && strstr(e.message, cases[i].shown), "%zu: %s", i, e.message);
  }
}

static void test_cut(void) {
  // Never inside an escape or a character, whatever the room.
  const char *text = "a\033\xE2\x82\xAC\xE9z";
  char whole[64];
  lmmc_printable(whole, sizeof whole, text);
  static const size_t ends[] = {0, 1, 7, 10, 14, 15};
  for (size_t room = 4; room < 24; room++) {
    char *out = malloc(room);
    lmmc_printable(out, room, text);
    size_t n = strlen(out);
    if (room > strlen(whole)) {
      CHECK(!strcmp(out, whole), "%zu: %s", room, out);
    } else {
      bool at_end = false;
      for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) at_end |= n == ends[i] + 3;
      CHECK(at_end && !memcmp(out, whole, n - 3) && !strcmp(out + n - 3, "..."), "%zu: %s", room, out);
    }
    free(out);
  }
}

static void test_json(void) {
  static const struct {
    const char *text, *json;
  } cases[] = {
      {"", "\"\""},
      {"a\"\\\b\v\x1B", "\"a\\\"\\\\\\b\\u000b\\u001b\""},
      {"caf\xE9 \xC3\xA9", "\"caf\\ufffd \xC3\xA9\""},
      {"\xC2\x9B\xE2\x80\xAE\xF3\xA0\x81\x81", "\"\\u009b\\u202e\\udb40\\udc41\""},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    lmmc_text text = {0};
    lmmc_error e = {0};
    CHECK(lmmc_json_string(&text, cases[i].text, strlen(cases[i].text), &e), "%s", e.message);
    CHECK(text.count == strlen(cases[i].json) && !memcmp(text.bytes, cases[i].json, text.count), "%zu: %.*s", i, (int)text.count,
          text.bytes);
    lmmc_text_free(&text);
  }
}

int main(void) {
  test_shown();
  test_cut();
  test_json();
  return check_report();
}
