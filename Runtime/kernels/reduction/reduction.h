// What token reducers do with lists and tables of rows: which stay, which join. Emitted code calls each once. Scores are float32 and sums are
// taken in one order, whatever the instruction sets and threads, so that a choice does not depend on the machine.
#ifndef LMMC_KERNELS_REDUCTION_REDUCTION_H
#define LMMC_KERNELS_REDUCTION_REDUCTION_H
#include <stdint.h>

#include "contract/level.h"

// An operand: element (i, j) is data[i * stride + j]. A list is a table of one column. What the data is, the routine says.
typedef struct {
  const void *data;
  int64_t rows, columns, stride;
} lmmc_table;

// A row of one of floats.
static inline const float *lmmc_table_row(const lmmc_table *t, int64_t row) { return (const float *)t->data + row * t->stride; }

// The operations of the same names (Docs/IR.md); in[i] is operand i. Those that count return the number of rows that they wrote.

enum { LMMC_SCORES_MEAN, LMMC_SCORES_SUM, LMMC_SCORES_MAX, LMMC_MAX_SCORED_HEADS = 256 };
void lmmc_attention_scores(const lmmc_table *in, int64_t heads, int64_t key_heads, float scale, int64_t statistic, int64_t has_raters,
                           float *scores);
int64_t lmmc_keep_rows(const lmmc_table *in, int64_t top, int64_t drop, int32_t *kept);
void lmmc_find_rows(const lmmc_table *in, int32_t *places);
void lmmc_vision_indices(const lmmc_table *in, int64_t lists, int64_t bound, int32_t *indices);
int64_t lmmc_stride_rows(const lmmc_table *in, int64_t stride, int64_t image, int32_t *kept);
void lmmc_stride_means(const lmmc_table *in, int64_t stride, float *means);
void lmmc_rater_rows(const lmmc_table *in, void *raters);
// `original` is 0 where rotary has no scaling.
void lmmc_rotary_scores(const lmmc_table *in, int64_t heads, int64_t key_heads, float scale, int64_t best, float theta, float factor,
                        float low, float high, int64_t original, float *scores);
void lmmc_rater_attention(const lmmc_table *in, int64_t heads, int64_t key_heads, float scale, int64_t columns, float *attention);
void lmmc_rank_counts(const lmmc_table *in, float scale, float bias, int32_t *counts);
enum { LMMC_MAX_CLUSTERS = 1024 };
// A fifth operand stands for `top`, where that is 0.
void lmmc_recycle_density(const lmmc_table *in, int64_t top, float share, int64_t per_cluster, float *density);
int64_t lmmc_recycle_rows(const lmmc_table *in, int64_t per_cluster, int32_t *rows);
void lmmc_recycle_merge(const lmmc_table *in, float *merged);
int64_t lmmc_prefusion_rows(const lmmc_table *in, int32_t *rows);
int64_t lmmc_trim_rows(const lmmc_table *in, int64_t image, int64_t first, int32_t *rows);
void lmmc_replace_rows(const lmmc_table *in, float *out);
void lmmc_resize_grid(const lmmc_table *in, int64_t to, float *out);
void lmmc_post_rows(const lmmc_table *in, int32_t *marks);
int64_t lmmc_threshold_rows(const lmmc_table *in, float global, float individual, int32_t *kept);
// The `kept` rows of `list` stay of the `rows` rows of a call, in `slots`: in a cache of so many bytes from slot to slot and from row to row,
// and then in the lengths of a block.
void lmmc_cache_keep(int64_t slot_bytes, int64_t row_bytes, const int32_t *lengths, int64_t rows, const int32_t *slots, int64_t kept,
                     const int32_t *list, void *cache);
void lmmc_release(int64_t rows, const int32_t *slots, int64_t kept, const int32_t *list, int32_t *lengths);

void lmmc_row_attention(const lmmc_table *in, int64_t heads, float scale, float *scores);
void lmmc_top_rows(const lmmc_table *in, int64_t rows, int64_t by_score, int32_t *list);
void lmmc_complement_rows(const lmmc_table *in, int64_t total, int32_t *list);
void lmmc_mean_heads(const lmmc_table *in, int64_t heads, float *means);
void lmmc_unit_rows(const lmmc_table *in, float epsilon, float *out);
void lmmc_cluster_rows(const lmmc_table *in, int64_t step, int64_t count, int32_t *clusters);
void lmmc_segment_means(const lmmc_table *in, int64_t count, int64_t has_weights, float *means);
int64_t lmmc_outlier_rows(const lmmc_table *in, float factor, int64_t is_sampled, int32_t *list);
void lmmc_append_samples(const lmmc_table *in, int64_t start, int64_t step, int64_t rows, int32_t *list);
enum { LMMC_MAX_NEIGHBOURS = 1024 };
void lmmc_merge_neighbours(const lmmc_table *in, int64_t neighbours, float *merged);
void lmmc_pad_list(const lmmc_table *in, int64_t length, int32_t *padded);
void lmmc_match_rows(const lmmc_table *in, int64_t merges, int32_t *rows);
void lmmc_row_places(const lmmc_table *in, int64_t has_places, int32_t *places);
void lmmc_segment_sizes(const lmmc_table *in, int64_t count, int64_t has_weights, float *sizes);
void lmmc_log(const lmmc_table *in, float *out);
void lmmc_softmax_similarity(const lmmc_table *in, float temperature, float *shares);
int64_t lmmc_similar_windows(const lmmc_table *in, int64_t window, float similarity, int32_t *list);
void lmmc_window_means(const lmmc_table *in, int64_t window, float *means);
void lmmc_key_rows(const lmmc_table *in, int64_t part, int64_t of, int32_t *marks);
enum { LMMC_MAX_COVER = 8192 };
void lmmc_greedy_cover(const lmmc_table *in, int64_t keep, float weight, int64_t patch, int64_t has_bars, int32_t *list);

int64_t lmmc_split_rows(const lmmc_table *in, int64_t is_vision, int32_t *rows);
void lmmc_mask_heads(const lmmc_table *in, const int64_t *mask, int64_t heads, float *masked);
// Compiled for each level, since it chooses nothing and is arithmetic on all vision rows.
#define lmmc_patch_attention LMMC_LEVELED(lmmc_patch_attention)
enum { LMMC_MAX_PATCH_HEADS = 256 };
void lmmc_patch_attention(const lmmc_table *in, const int64_t *mask, int64_t heads, int64_t key_heads, float scale, int64_t window,
                          int64_t side, float *out);

#endif
