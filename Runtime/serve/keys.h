// Who is let in.
#ifndef LMMC_SERVE_KEYS_H
#define LMMC_SERVE_KEYS_H

#include <stdbool.h>

#include "base/error.h"

typedef struct lmmc_keys lmmc_keys;

// The keys of a file, one on each line; white space around them, empty lines and those that begin with '#' are none. NULL with `*e` filled
// (code 1) where it cannot be read or has none.
lmmc_keys *lmmc_keys_open(const char *path, lmmc_error *e);
void lmmc_keys_close(lmmc_keys *k);  // which may be NULL

// Whether the value of an Authorization header ("Bearer KEY"), or NULL, has one of them. How long that takes says nothing of the keys but
// their number and lengths.
bool lmmc_keys_admit(const lmmc_keys *k, const char *authorization);

#endif
