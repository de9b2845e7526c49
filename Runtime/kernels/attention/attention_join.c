// How the parts that cuts of keys have in a row are joined. In a file of its own, so that no compiler makes two versions that round apart.
#include "attention_variant.h"
#include "base/parallel.h"
#include "kernels/common/vector_math.h"

void lmmc_attention_join(int64_t d, const float *part, float part_max, float part_sum, float *out, float *max, float *sum) {
  if (part_sum == 0) return;
  // One of the two weights is 1.
  const float top = part_max > *max ? part_max : *max, before = lmmc_exp(*max - top), weight = lmmc_exp(part_max - top);
#pragma omp simd
  for (int64_t e = 0; e < d; e++) out[e] = out[e] * before + part[e] * weight;
  *sum = *sum * before + part_sum * weight;
  *max = top;
}
