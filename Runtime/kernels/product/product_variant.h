// What an instruction set provides for the packed products, and how the best one is chosen.
#ifndef LMMC_KERNELS_PRODUCT_PRODUCT_VARIANT_H
#define LMMC_KERNELS_PRODUCT_PRODUCT_VARIANT_H
#include <string.h>

#include "kernels/common/half_floats.h"
#include "packed.h"
#include "product_sets.h"

// The operands of one call of a kernel: a few rows of x by one panel, over some consecutive blocks of K.
typedef struct {
  int64_t blocks;
  const uint8_t *x;       // codes of the first row, from the first block on
  const float *x_scales;  // its scales and, below, its sums, from the first block on (q8 rows)
  const int32_t *x_sums;
  int64_t x_stride;        // bytes from row to row, for each of these
  const uint8_t *codes;    // as packed or, where the product has `unpack`, unpacked
  const uint16_t *scales;  // f16
  const uint8_t *offsets;  // as packed
  float *sums;             // [rows][LMMC_PANEL], aligned to 64 bytes; added to
  // A stream's own: the piece's first block and the blocks of its panel, and which of how many tiles of rows passes over the piece.
  int64_t first, panel_blocks, tile, tiles;
} lmmc_piece;

typedef void lmmc_piece_kernel(int64_t rows, const lmmc_piece *piece);

// The code of one product. `tile` serves many rows: a piece of the panel stays in the L1 cache while tiles of rows pass. `stream` serves
// few: it does the same to packed codes, in the order in which they lie in memory, and prefetches those that follow.
// A row's sums are the same to the bit by either, in a tile of any height.
typedef struct {
  int64_t tile_rows;    // most rows of a tile
  int64_t tile_blocks;  // most blocks of a piece
  lmmc_piece_kernel *tile;
  void (*unpack)(int64_t blocks, const uint8_t *codes, const uint8_t *offsets, uint8_t *out);  // or NULL; `out` for tiles only
  int64_t unpacked_bytes;                                                                      // of a block
  int64_t stream_tile_rows;                                                                    // most rows of a tile of `stream`
  int64_t stream_rows;  // most rows of a product that goes by `stream`, 0 without one
  lmmc_piece_kernel *stream;
} lmmc_product;

enum {
  LMMC_UNPACKED_BYTES = 32768,  // room for an unpacked piece
  LMMC_STREAM_ROWS = 48,        // room for rows to stream
};

// The epilogue of a tile: out = activation(2^exponent * sums + bias + addend) for the first `columns` <= LMMC_PANEL columns. exponents
// [LMMC_PANEL], bias [columns] and addend may be NULL. The sums are overwritten.
typedef struct {
  const int8_t *exponents;
  const float *bias, *addend;
  int64_t addend_stride;
  lmmc_activation activation;
  float *out;
  int64_t out_stride;
} lmmc_finish;
typedef void lmmc_finish_kernel(int64_t rows, int64_t columns, float *sums, const lmmc_finish *finish);

typedef void lmmc_quantize_kernel(int64_t k, const float *x, void *out);

// One instruction set: what it needs of a CPU, and its code, NULL where it has nothing better than the sets before it.
typedef struct {
  const char *name;
  uint32_t needs;
  const lmmc_product *bf16, *q8, *q4;
  lmmc_quantize_kernel *quantize_q8, *quantize_bf16;
  lmmc_finish_kernel *finish;
} lmmc_variant;

// What each row of the table of sets declares.
#define LMMC_DECLARE_HAS(type, name) extern type LMMC_OPTIONAL name;
#define LMMC_DECLARE_LACKS(type, name)
// clang-format off
#define LMMC_DECLARE_SET(symbol, name, needs, bf16, q8, q4, quantize_q8, quantize_bf16, finish) \
  LMMC_DECLARE_##bf16(const lmmc_product, lmmc_bf16_##symbol) \
  LMMC_DECLARE_##q8(const lmmc_product, lmmc_q8_##symbol) \
  LMMC_DECLARE_##q4(const lmmc_product, lmmc_q4_##symbol) \
  LMMC_DECLARE_##quantize_q8(lmmc_quantize_kernel, lmmc_quantize_q8_##symbol) \
  LMMC_DECLARE_##quantize_bf16(lmmc_quantize_kernel, lmmc_quantize_bf16_##symbol) \
  LMMC_DECLARE_##finish(lmmc_finish_kernel, lmmc_finish_##symbol)
// clang-format on
LMMC_PRODUCT_SETS(LMMC_DECLARE_SET)
#undef LMMC_DECLARE_SET
#undef LMMC_DECLARE_LACKS
#undef LMMC_DECLARE_HAS

// The variants, one for each row of the table of sets, in its order. In a program that was compiled without a set, its code is NULL.
int lmmc_variant_count(void);
const lmmc_variant *lmmc_variant_at(int index);

// The variant's code for products of `type`, or NULL.
static inline const lmmc_product *lmmc_product_of(const lmmc_variant *v, lmmc_packed_type type) {
  return type == LMMC_BF16 ? v->bf16 : type == LMMC_Q8 ? v->q8 : v->q4;
}

// The best code for each purpose, and the names of the sets that it comes from.
typedef struct {
  lmmc_variant code;
  const char *bf16, *q8, *q4, *quantize_q8, *quantize_bf16;
} lmmc_choice;

lmmc_choice lmmc_choose(lmmc_cpu cpu);

// The products' part of lmmc_kernels_start().
void lmmc_products_start(lmmc_cpu usable);

// Leaves in `cpu` only what the set named `level` and the sets before it need or, with a '-' before the name, removes what that set needs
// and those before it do not. Returns 0, or an exit code with one line in `message`: 2 for an unknown name, 1 for a set that `cpu` or the
// program lacks.
int lmmc_limit_cpu(lmmc_cpu *cpu, const char *level, char message[256]);

// The product with code and epilogue of the caller's choice.
void lmmc_packed_product(const lmmc_packed_matmul *p, lmmc_packed_type type, const lmmc_product *code, lmmc_finish_kernel *finish);

#endif
