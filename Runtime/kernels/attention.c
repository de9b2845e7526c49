#include "attention.h"

#include <math.h>

#include "pragmas.h"
#include "vector_math.h"

void lmmc_attention_f32(lmmc_attention a) {
  const int64_t d = a.head_size, group = a.heads / a.kv_heads;
#pragma omp parallel for collapse(2)
  for (int64_t h = 0; h < a.heads; h++)
    for (int64_t i = 0; i < a.queries; i++) {
      const float *q = a.q + i * a.q_stride + h * d;
      const float *k = a.k + h / group * d, *v = a.v + h / group * d;
      float *out = a.out + i * a.out_stride + h * d;
      const int64_t keys = a.causal ? a.keys - a.queries + i + 1 : a.keys;
      float max = -INFINITY, sum = 0;
      for (int64_t e = 0; e < d; e++) out[e] = 0;
      for (int64_t j = 0; j < keys; j++) {
        float score = 0;
        for (int64_t e = 0; e < d; e++) score += q[e] * k[j * a.k_stride + e];
        score *= a.scale;
        if (score > max) {
          const float shrink = lmmc_exp(max - score);
          sum *= shrink;
          for (int64_t e = 0; e < d; e++) out[e] *= shrink;
          max = score;
        }
        const float p = lmmc_exp(score - max);
        sum += p;
        for (int64_t e = 0; e < d; e++) out[e] += p * v[j * a.v_stride + e];
      }
      for (int64_t e = 0; e < d; e++) out[e] /= sum;
    }
}
