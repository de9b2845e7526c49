// What lmmc itself has in C, for a machine on which Swift does not run: half floats to floats, and products with float64 sums.
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "fold_product.h"
#include "widen.h"

static void test_widen(void) {
  enum { COUNT = 1 << 16 };
  static uint8_t halves[2 * COUNT + 1];
  static float wide[COUNT];
  uint8_t *odd = halves + 1;  // at any address
  for (int i = 0; i < COUNT; i++) odd[2 * i] = (uint8_t)i, odd[2 * i + 1] = (uint8_t)(i >> 8);
  lmmc_widen_f16(COUNT, odd, wide);
  for (int i = 0; i < COUNT; i++) {
    const int exponent = i >> 10 & 31, fraction = i & 1023;
    const double size = exponent == 31 ? (fraction ? (double)NAN : (double)INFINITY)
                        : exponent     ? ldexp(1024 + fraction, exponent - 25)
                                       : ldexp(fraction, -24);
    const double expected = i >> 15 ? -size : size;
    CHECK(isnan(expected) ? isnan(wide[i]) : wide[i] == expected && !signbit(wide[i]) == !(i >> 15), "f16 %#x is %g", i, (double)wide[i]);
  }
  lmmc_widen_bf16(COUNT, odd, wide);
  for (int i = 0; i < COUNT; i++) {
    uint32_t bits;
    memcpy(&bits, &wide[i], sizeof bits);
    CHECK(bits == (uint32_t)i << 16, "bf16 %#x is %#x", i, bits);
  }
}

static void test_product(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t depth) {
  float *left = malloc((size_t)(rows * depth) * sizeof *left), *weight = malloc((size_t)(columns * depth) * sizeof *weight);
  double *sums = malloc((size_t)(rows * columns) * sizeof *sums);
  if (!left || !weight || !sums) exit(1);
  for (ptrdiff_t i = 0; i < rows * depth; i++) left[i] = (float)(i * 7919 % 1009) / 97 - 5;
  for (ptrdiff_t i = 0; i < columns * depth; i++) weight[i] = (float)(i * 104729 % 997) / 89 - 5;
  CHECK(lmmc_fold_product(left, rows, weight, columns, depth, sums, 2) == 0, "no memory");
  bool equal = true;
  for (ptrdiff_t i = 0; i < rows; i++)
    for (ptrdiff_t j = 0; j < columns; j++) {
      double sum = 0;
      for (ptrdiff_t k = 0; k < depth; k++) sum += (double)left[i * depth + k] * weight[j * depth + k];
      equal = equal && sums[i * columns + j] == sum;
    }
  CHECK(equal, "the product %td x %td x %td is another", rows, columns, depth);
  free(left), free(weight), free(sums);
}

static void test_not_finite(void) {
  enum { COUNT = 1000 };
  static float x[COUNT + 1];
  for (int i = 0; i <= COUNT; i++) x[i] = i % 3 ? 3.4028234e38f : -1e-45f;
  for (size_t count = 0; count <= COUNT; count += count < 10 ? 1 : 99) {
    CHECK(lmmc_first_not_finite(count, x) == count, "%zu finite numbers", count);
    for (size_t i = 0; i <= count; i += i < 300 ? 1 : 37) {
      const float kept = x[i];
      x[i] = i % 3 == 0 ? INFINITY : i % 3 == 1 ? -INFINITY : NAN;
      CHECK(lmmc_first_not_finite(count, x) == (i < count ? i : count), "element %zu of %zu", i, count);
      x[i] = kept;
    }
  }
}

int main(void) {
  test_widen();
  test_not_finite();
  test_product(1, 1, 1);
  test_product(13, 19, 300);
  test_product(100, 200, 257);
  return check_report();
}
