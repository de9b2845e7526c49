// What emitted code calls.
#ifndef LMMC_KERNELS_H
#define LMMC_KERNELS_H

#include "attention.h"
#include "cache_rows.h"
#include "matmul.h"
#include "memory.h"
#include "packed.h"
#include "pixels.h"
#include "rows.h"

#endif
