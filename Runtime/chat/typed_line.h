// Lines that somebody types: edited, with those before at hand, where the terminal can do that, else as they come.
#ifndef LMMC_CHAT_TYPED_LINE_H
#define LMMC_CHAT_TYPED_LINE_H

#include <stdbool.h>

#include "base/error.h"
#include "base/text.h"

typedef struct lmmc_line_editor lmmc_line_editor;

typedef struct {
  bool is_terminal;          // standard input is
  lmmc_line_editor *editor;  // NULL: lines as they come
} lmmc_typed_lines;

typedef enum {
  LMMC_TYPED,
  LMMC_TYPED_END,         // nothing comes any more
  LMMC_TYPED_INTERRUPT,   // Ctrl-C while something stood in the line, which is lost
  LMMC_TYPED_GOODBYE,     // Ctrl-C in an empty line
  LMMC_TYPED_UNREADABLE,  // with `*e` filled, code 1
} lmmc_typed_result;

enum { LMMC_MOST_TYPED_BYTES = 1 << 24 };

// A terminal without a description, or one that cannot move its cursor, and what is no terminal, have no editor.
void lmmc_typed_lines_open(lmmc_typed_lines *l);
void lmmc_typed_lines_close(lmmc_typed_lines *l);

// The next line, without its end, behind `prompt`, which only a terminal sees. What was pasted may have line ends in it.
lmmc_typed_result lmmc_typed_next(lmmc_typed_lines *l, const char *prompt, lmmc_text *line, lmmc_error *e);

#endif
