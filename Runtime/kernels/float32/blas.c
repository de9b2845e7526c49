#include <cblas.h>

#include "matmul.h"

const char *lmmc_blas_core(void) { return openblas_get_corename(); }
