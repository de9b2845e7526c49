// The files that a server may still reach, as a Landlock ruleset.
#ifndef LMMC_SERVE_SANDBOX_FILE_ACCESS_H
#define LMMC_SERVE_SANDBOX_FILE_ACCESS_H

#include <stdbool.h>

#include "base/error.h"

typedef struct {
  const char *reads, *writes, *removes;  // folders, as those of lmmc_sandbox_rules; NULL: none
} lmmc_file_rules;

// For every thread of the process. `*number` is 0, or the errno of a kernel or an emulator that has no Landlock; code 1 where a folder
// cannot be opened or a thread does not obey.
bool lmmc_file_access_restrict(const lmmc_file_rules *rules, int *number, lmmc_error *e);

#endif
