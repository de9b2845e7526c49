// Parts of JSON, appended to a text.
#ifndef LMMC_BASE_JSON_H
#define LMMC_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "text.h"

// Appends a JSON string literal of UTF-8 bytes: quotes, backslashes and what cannot be shown escaped, a byte that is no UTF-8 as U+FFFD.
bool lmmc_json_string(lmmc_text *t, const char *bytes, size_t count, lmmc_error *e);
// Appends a JSON array of ids.
bool lmmc_json_ids(lmmc_text *t, const int32_t *ids, size_t count, lmmc_error *e);

#endif
