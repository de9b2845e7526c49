#include "start.h"

#include "kernels/attention/attention_variant.h"
#include "kernels/product/product_variant.h"

void lmmc_kernels_start(lmmc_cpu usable) {
  lmmc_products_start(usable);
  lmmc_attention_start(usable);
}
