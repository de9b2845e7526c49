// What kernels of pieces share: a function for each number of rows, and how far ahead they prefetch.
#ifndef LMMC_KERNELS_PRODUCT_PIECE_H
#define LMMC_KERNELS_PRODUCT_PIECE_H
#include <stdbool.h>

#include "kernels/common/target.h"
#include "product_variant.h"

// LMMC_UP_TO_6(name) defines name_rows(rows, p) for 1 ... 6 rows, from an inline function name(rows, p) that is compiled once for each
// number. The copies are not inlined: clang would merge the ends of several into one loop, which it does not unroll.
#define LMMC_FIXED(name, n) \
  static __attribute__((noinline)) void name##_##n(const lmmc_piece *p) { name(n, p); }
#define LMMC_BY_ROWS(name, ...)                                       \
  static void name##_rows(int64_t rows, const lmmc_piece *p) {        \
    static void (*const fixed[])(const lmmc_piece *) = {__VA_ARGS__}; \
    fixed[rows - 1](p);                                               \
  }
#define LMMC_FIXED_4(name) LMMC_FIXED(name, 1) LMMC_FIXED(name, 2) LMMC_FIXED(name, 3) LMMC_FIXED(name, 4)
#define LMMC_FIXED_6(name) LMMC_FIXED_4(name) LMMC_FIXED(name, 5) LMMC_FIXED(name, 6)
#define LMMC_FIXED_7(name) LMMC_FIXED_6(name) LMMC_FIXED(name, 7)
#define LMMC_FIXED_8(name) LMMC_FIXED_7(name) LMMC_FIXED(name, 8)
#define LMMC_FIXED_12(name) LMMC_FIXED_8(name) LMMC_FIXED(name, 9) LMMC_FIXED(name, 10) LMMC_FIXED(name, 11) LMMC_FIXED(name, 12)
#define LMMC_UP_TO_4(name) LMMC_FIXED_4(name) LMMC_BY_ROWS(name, name##_1, name##_2, name##_3, name##_4)
#define LMMC_UP_TO_6(name) LMMC_FIXED_6(name) LMMC_BY_ROWS(name, name##_1, name##_2, name##_3, name##_4, name##_5, name##_6)
#define LMMC_UP_TO_7(name) LMMC_FIXED_7(name) LMMC_BY_ROWS(name, name##_1, name##_2, name##_3, name##_4, name##_5, name##_6, name##_7)
#define LMMC_UP_TO_8(name) \
  LMMC_FIXED_8(name) LMMC_BY_ROWS(name, name##_1, name##_2, name##_3, name##_4, name##_5, name##_6, name##_7, name##_8)
#define LMMC_UP_TO_12(name)                                                                                                          \
  LMMC_FIXED_12(name)                                                                                                                \
  LMMC_BY_ROWS(name, name##_1, name##_2, name##_3, name##_4, name##_5, name##_6, name##_7, name##_8, name##_9, name##_10, name##_11, \
               name##_12)

// What a stream prefetches into the L2 cache while it reads block b: the codes, scales and offsets of a block further on, in this panel or
// in the next one, which follows it in memory. A prefetch past the end of the weights does no harm.
// A single tile of rows reads memory in order, which CPUs foresee: 8-bit and bf16 codes need every second line alone, near ahead, to lead the
// CPU over the ends of pages. (On Zen 4 all lines take a quarter longer, probably since a core can wait for fewer lines than its L2 cache
// can. 4-bit codes gain a third by all lines, far ahead.)
// Only the first of several tiles reads memory: each asks for its share of all lines.
enum { LMMC_AHEAD = 4096, LMMC_AHEAD_OF_TILES = 16384 };  // bytes of codes
typedef struct {
  const char *codes, *scales, *offsets;
  int64_t bytes;  // of codes, this tile's share
} lmmc_ahead;

static inline __attribute__((always_inline)) lmmc_ahead lmmc_look_ahead(lmmc_packed_type type, const lmmc_piece *p, int64_t b) {
  const int64_t code = lmmc_code_bytes(type), scale = lmmc_scale_bytes(type), offset = lmmc_offset_bytes(type);
  const char *panel = (const char *)p->codes - p->first * code;
  int64_t share = 0;
  if (p->tiles == 1 && type != LMMC_Q4) {
    b += p->first + LMMC_AHEAD / code;
  } else {
    share = p->tile * p->blocks + b;
    b = p->first + share / p->tiles + LMMC_AHEAD_OF_TILES / code;
    share %= p->tiles;
  }
  if (b >= p->panel_blocks) b -= p->panel_blocks, panel += (p->panel_blocks * (code + scale + offset) + 63) / 64 * 64;
  const char *scales = panel + p->panel_blocks * code;
  const int64_t bytes = code / p->tiles;
  return (lmmc_ahead){panel + b * code + share * bytes, scales + b * scale, scales + p->panel_blocks * scale + b * offset, bytes};
}

#define LMMC_ASK_FOR(p) __builtin_prefetch(p, 0, 2)
// Asks for the line in which part `i` of `parts` of them begins.
#define LMMC_ASK(next, i, parts) LMMC_ASK_FOR((next).codes + (next).bytes / (parts) * (i))

#endif
