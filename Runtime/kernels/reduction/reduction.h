// What token reducers do with lists and tables of rows: which stay, which join. Emitted code calls each once. Scores are float32 and sums are
// taken in one order, whatever the instruction sets and threads, so that a choice does not depend on the machine.
#ifndef LMMC_KERNELS_REDUCTION_REDUCTION_H
#define LMMC_KERNELS_REDUCTION_REDUCTION_H
#include <stdint.h>

// An operand: element (i, j) is data[i * stride + j]. A list is a table of one column. What the data is, the routine says.
typedef struct {
  const void *data;
  int64_t rows, columns, stride;
} lmmc_table;

// The operations of the same names (Docs/IR.md); in[i] is operand i. Those that count return the number of rows that they wrote.

enum { LMMC_SCORES_MEAN, LMMC_SCORES_SUM, LMMC_SCORES_MAX, LMMC_MAX_SCORED_HEADS = 256 };
void lmmc_attention_scores(const lmmc_table *in, int64_t heads, int64_t key_heads, float scale, int64_t statistic, int64_t has_raters,
                           float *scores);
int64_t lmmc_keep_rows(const lmmc_table *in, int64_t top, int32_t *kept);
void lmmc_find_rows(const lmmc_table *in, int32_t *places);
void lmmc_vision_indices(const lmmc_table *in, int64_t lists, int64_t bound, int32_t *indices);
int64_t lmmc_stride_rows(const lmmc_table *in, int64_t stride, int64_t image, int32_t *kept);
void lmmc_stride_means(const lmmc_table *in, int64_t stride, float *means);

#endif
