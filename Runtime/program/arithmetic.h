// What decides the bits of a program's results on this machine.
#ifndef LMMC_PROGRAM_ARITHMETIC_H
#define LMMC_PROGRAM_ARITHMETIC_H

#include <stdbool.h>

#include "base/error.h"
#include "base/text.h"

// The name of the CPU core that OpenBLAS has chosen its kernels for; NULL in a program without it.
const char *lmmc_arithmetic_core(void);

// Appends its name: programs of one compilation that say the same here give the same.
bool lmmc_arithmetic(lmmc_text *out, lmmc_error *e);

// Appends the members `kernels`, an object, `arithmetic`, and whether a row's result depends on those beside it.
bool lmmc_arithmetic_json(lmmc_text *out, lmmc_error *e);

#endif
