// The rows of the tokens that every prompt begins with, for the compiler that puts them behind the weights.
#ifndef LMMC_APP_FOLD_H
#define LMMC_APP_FOLD_H

#include "base/error.h"
#include "contract/program.h"

// Writes what follows the tokens in that part of the attachment (contract/prefix_layout.h) to the file `path`: the header's arithmetic, then the
// rows. Code 1 when the program has no such tokens, memory is out or the file cannot be written.
bool lmmc_fold(const lmmc_model *model, const lmmc_memory *memory, const char *path, lmmc_error *e);

#endif
