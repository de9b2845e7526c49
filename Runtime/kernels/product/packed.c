#include "packed.h"

#include <stdbool.h>
#include <string.h>

#include "product_variant.h"
#include "base/parallel.h"

// A thread keeps the sums of at most CHUNK_ROWS rows by GROUP panels, 128 KiB of its L2 cache. Activation rows of at most RESIDENT bytes, a
// quarter of an L2 cache of 1 MiB, are taken to stay there while panels pass through.
// A piece of a stream over which several tiles pass has at most STREAM_PIECE bytes of codes, or a block; its rows may fill more of the L2
// cache, since a panel passes over them once.
enum { CHUNK_ROWS = 256, GROUP = 4, RESIDENT = 256 << 10, STREAM_PIECE = 8192, STREAM_RESIDENT = 768 << 10 };

static int64_t divide_up(int64_t a, int64_t b) { return a / b + (a % b != 0); }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

typedef struct {
  const lmmc_packed_matmul *p;
  lmmc_packed_type type;
  const lmmc_product *code;
  lmmc_finish_kernel *finish;
} work;

// Piece `i` of the `pieces` that panel `index` is cut into along K, for the rows from `row` on.
static lmmc_piece piece_of(const work *w, int64_t index, int64_t i, int64_t pieces, int64_t row) {
  const int64_t k = w->p->k, blocks = lmmc_blocks(k), first = blocks * i / pieces;
  const int64_t code_bytes = lmmc_code_bytes(w->type), scale_bytes = lmmc_scale_bytes(w->type);
  const int64_t depth = w->type == LMMC_BF16 ? 2 * LMMC_BLOCK : LMMC_BLOCK;
  const uint8_t *x = (const uint8_t *)w->p->x + row * w->p->x_stride;
  const uint8_t *panel = (const uint8_t *)w->p->weight + index * lmmc_panel_bytes(w->type, k), *scales = panel + blocks * code_bytes;
  return (lmmc_piece){
      .blocks = blocks * (i + 1) / pieces - first,
      .x = x + first * depth,
      .x_scales = (const float *)(x + lmmc_q8_scales(k)) + first,
      .x_sums = (const int32_t *)(x + lmmc_q8_sums(k)) + first,
      .x_stride = w->p->x_stride,
      .codes = panel + first * code_bytes,
      .scales = (const uint16_t *)(scales + first * scale_bytes),
      .offsets = scales + blocks * scale_bytes + first * LMMC_PANEL,
      .first = first,
      .panel_blocks = blocks,
      .tiles = 1,
  };
}

// The exponents of panel `index`, or NULL where all of them are zero.
static const int8_t *exponents_of(const work *w, int64_t index) {
  static const int8_t zeros[LMMC_PANEL];
  if (w->type == LMMC_BF16) return NULL;
  const int8_t *e = (const int8_t *)w->p->weight + lmmc_exponents(w->type, w->p->n, w->p->k) + index * LMMC_PANEL;
  return memcmp(e, zeros, sizeof zeros) == 0 ? NULL : e;
}

static void finish_sums(const work *w, int64_t index, int64_t row, int64_t rows, float *sums) {
  const lmmc_packed_matmul *p = w->p;
  const int64_t first = index * LMMC_PANEL;
  const lmmc_finish finish = {
      .exponents = exponents_of(w, index),
      .bias = p->bias ? p->bias + first : NULL,
      .addend = p->addend ? p->addend + row * p->addend_stride + first : NULL,
      .addend_stride = p->addend_stride,
      .activation = p->activation,
      .out = p->out + row * p->out_stride + first,
      .out_stride = p->out_stride,
  };
  w->finish(rows, least(LMMC_PANEL, p->n - first), sums, &finish);
}

// Makes `piece` the part of `whole` that tile `t` of `tiles` does, and gives its rows. Tiles have nearly the same height, since one of a
// single row would take as long as a full one.
static int64_t cut_tile(const lmmc_piece *whole, int64_t rows, int64_t t, int64_t tiles, lmmc_piece *piece) {
  const int64_t top = rows * t / tiles, skip = top * whole->x_stride;
  piece->x = whole->x + skip;
  piece->x_scales = (const float *)((const char *)whole->x_scales + skip);
  piece->x_sums = (const int32_t *)((const char *)whole->x_sums + skip);
  piece->sums = whole->sums + top * LMMC_PANEL;
  piece->tile = t;
  return rows * (t + 1) / tiles - top;
}

// A single tile of rows takes the panel as one piece.
static void stream_panel(const work *w, int64_t index) {
  float sums[LMMC_STREAM_ROWS][LMMC_PANEL] __attribute__((aligned(64)));
  const int64_t rows = w->p->m, tiles = divide_up(rows, w->code->stream_tile_rows);
  const int64_t pieces = tiles == 1 ? 1 : divide_up(lmmc_blocks(w->p->k) * lmmc_code_bytes(w->type), STREAM_PIECE);
  memset(sums, 0, (size_t)rows * sizeof *sums);
  for (int64_t i = 0; i < pieces; i++) {
    lmmc_piece whole = piece_of(w, index, i, pieces, 0);
    whole.sums = sums[0];
    whole.tiles = tiles;
    lmmc_piece piece = whole;
    for (int64_t t = 0; t < tiles; t++) {
      const int64_t height = cut_tile(&whole, rows, t, tiles, &piece);
      w->code->stream(height, &piece);
    }
  }
  finish_sums(w, index, 0, rows, sums[0]);
}

// Prefetches part `part` of `parts` of the `bytes` bytes at `p` into the L2 cache.
static void ask_for(const uint8_t *p, int64_t bytes, int64_t part, int64_t parts) {
  for (int64_t line = bytes / 64 * part / parts; line < bytes / 64 * (part + 1) / parts; line++) __builtin_prefetch(p + 64 * line, 0, 2);
}

// Pieces are the outer loop: the part of the rows that a piece reads stays in the L2 cache while panels pass, and the piece of a panel
// stays in the L1 cache while tiles of rows pass.
static void chunk_panels(const work *w, int64_t index, int64_t panels, int64_t row, int64_t rows) {
  float sums[GROUP][CHUNK_ROWS][LMMC_PANEL] __attribute__((aligned(64)));
  uint8_t unpacked[LMMC_UNPACKED_BYTES] __attribute__((aligned(64)));
  const lmmc_product *code = w->code;
  const int64_t tiles = divide_up(rows, code->tile_rows), pieces = divide_up(lmmc_blocks(w->p->k), code->tile_blocks);
  for (int64_t q = 0; q < panels; q++) memset(sums[q], 0, (size_t)rows * sizeof *sums[q]);
  for (int64_t step = 0; step < pieces * panels; step++) {
    const int64_t i = step / panels, q = step % panels;
    const bool last = i + 1 == pieces;
    lmmc_piece whole = piece_of(w, index + q, i, pieces, row);
    whole.sums = sums[q][0];
    if (code->unpack) {
      code->unpack(whole.blocks, whole.codes, whole.offsets, unpacked);
      whole.codes = unpacked;
    }
    lmmc_piece piece = whole;
    // The next piece is prefetched meanwhile. After the last that is the first piece of the next panels, which this thread mostly gets too.
    const bool ends = step + 1 == pieces * panels;
    const lmmc_piece next =
        ends ? piece_of(w, index + panels, 0, pieces, row) : piece_of(w, index + (step + 1) % panels, (step + 1) / panels, pieces, row);
    for (int64_t t = 0; t < tiles; t++) {
      ask_for(next.codes, next.blocks * lmmc_code_bytes(w->type), t, tiles);
      ask_for((const uint8_t *)next.scales, next.blocks * lmmc_scale_bytes(w->type), t, tiles);
      const int64_t height = cut_tile(&whole, rows, t, tiles, &piece);
      code->tile(height, &piece);
      if (last) finish_sums(w, index + q, row + (piece.sums - whole.sums) / LMMC_PANEL, height, piece.sums);
    }
  }
}

void lmmc_packed_product(const lmmc_packed_matmul *p, lmmc_packed_type type, const lmmc_product *code, lmmc_finish_kernel *finish) {
  const work w = {p, type, code, finish};
  const int64_t panels = lmmc_panels(p->n);
  if (p->m <= 0) return;
  const int threads = lmmc_thread_count();
  // Rows that do not stay in the L2 cache, and those of few panels, which threads share, go by chunks.
  if (p->m <= code->stream_tile_rows || (p->m <= code->stream_rows && p->m * p->x_stride <= STREAM_RESIDENT && panels >= 8 * threads)) {
    // Eight stretches of panels for each thread: long ones read memory in order, and a thread that is held up leaves its others to the
    // rest.
    const int64_t stretch = divide_up(panels, 8 * (int64_t)threads);
    (void)stretch;  // only the pragma uses it
#pragma omp parallel for schedule(dynamic, stretch) if (panels > 1)
    for (int64_t i = 0; i < panels; i++) stream_panel(&w, i);
    return;
  }
  // Chunks have nearly the same height, small enough that every thread gets several units of work.
  int64_t chunks = divide_up(p->m, CHUNK_ROWS);
  const int64_t wanted = divide_up(4 * (int64_t)threads, panels), most = divide_up(p->m, 4 * code->tile_rows);
  if (threads > 1 && chunks < wanted) chunks = least(wanted, most > chunks ? most : chunks);
  // Where the rows of a chunk do not stay in the L2 cache from panel to panel, several panels go over them at a time.
  int64_t group = divide_up(p->m, chunks) * p->x_stride > RESIDENT ? least(GROUP, chunks * panels / (8 * threads)) : 1;
  if (group < 1) group = 1;
  // All panels for one chunk of rows, then for the next, so that a chunk's activations stay in a cache.
  const int64_t groups = divide_up(panels, group), stretch = divide_up(chunks * groups, 16 * (int64_t)threads);
  (void)stretch;
#pragma omp parallel for schedule(dynamic, stretch) if (chunks * groups > 1)
  for (int64_t i = 0; i < chunks * groups; i++) {
    const int64_t c = i / groups, row = p->m * c / chunks, first = i % groups * group;
    chunk_panels(&w, first, least(group, panels - first), row, p->m * (c + 1) / chunks - row);
  }
}
