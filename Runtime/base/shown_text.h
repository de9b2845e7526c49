// What a terminal may get of an answer.
#ifndef LMMC_BASE_SHOWN_TEXT_H
#define LMMC_BASE_SHOWN_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"
#include "text.h"

// Appends all of a text, but with controls shown, other than the line's end and the tab.
bool lmmc_text_show(lmmc_text *out, const char *text, size_t bytes, lmmc_error *e);

#endif
