// Products of float32 matrices with float64 sums, for folds at compile time.
#ifndef LMMC_FOLD_PRODUCT_H
#define LMMC_FOLD_PRODUCT_H
#include <stddef.h>

// sums[i * columns + j] = sum over k of left[i * depth + k] * weight[j * depth + k], k ascending.
//
// Each product of two floats is exact in float64, so every element is the same on every machine, whatever its vectors, fused or not, and
// for any number of threads or cut of the rows and columns. 0, or -1 where memory for the packed blocks is missing.
int lmmc_fold_product(const float *left, ptrdiff_t rows, const float *weight, ptrdiff_t columns, ptrdiff_t depth, double *sums,
                      int threads);

#endif
