// White space as Python has it, which templates and reducers cut texts at.
#ifndef LMMC_SESSION_WHITE_SPACE_H
#define LMMC_SESSION_WHITE_SPACE_H

#include <stdbool.h>
#include <stddef.h>

// What Python's str.isspace holds for white space: the bytes of such a character at the start of the text (or, with
// `last`, at its end), or 0. Sources/ChatTemplate/TemplateText.swift has the same list.
size_t lmmc_white_space(const char *text, size_t bytes, bool last);

#endif
