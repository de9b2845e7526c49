// The function that a product applies to each of its results.
#ifndef LMMC_KERNELS_COMMON_ACTIVATION_H
#define LMMC_KERNELS_COMMON_ACTIVATION_H

typedef enum { LMMC_IDENTITY, LMMC_GELU, LMMC_QUICK_GELU, LMMC_SILU } lmmc_activation;

#endif
