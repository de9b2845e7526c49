// Everything that emitted code calls.
#ifndef LMMC_KERNELS_KERNELS_H
#define LMMC_KERNELS_KERNELS_H

#include "kernels/attention/attention.h"
#include "kernels/rows/cache_rows.h"
#include "kernels/float32/matmul.h"
#include "contract/offsets.h"
#include "kernels/product/packed.h"
#include "kernels/reduction/reduction.h"
#include "kernels/rows/packed_rows.h"
#include "kernels/rows/pixels.h"
#include "kernels/rows/rows.h"

#endif
