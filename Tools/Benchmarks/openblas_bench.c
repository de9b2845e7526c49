// OpenBLAS alone: the products of one LLaMA-7B layer by M rows in float32, over and over for a second; prints GFLOP/s and the core type in use.
//   [OPENBLAS_CORETYPE=NAME] openblas_bench M
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

char *openblas_get_corename(void);

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *random_floats(size_t count) {
  float *p = malloc(count * sizeof *p);
  if (!p) {
    fprintf(stderr, "error: out of memory, %zu bytes are needed\n", count * sizeof *p);
    exit(1);
  }
  for (size_t i = 0; i < count; i++) p[i] = (float)(i * 2654435761u % 2001) / 1000 - 1;
  return p;
}

int main(int argc, char **argv) {
  static const int shapes[][2] = {
      {12288, 4096}, {4096, 4096}, {22016, 4096}, {4096, 11008}};  // queries, keys and values in one; gate and up in one
  enum { SHAPES = sizeof shapes / sizeof *shapes };
  const int m = argc == 2 ? atoi(argv[1]) : 0;
  if (m <= 0) return fprintf(stderr, "usage: openblas_bench M\n"), 2;
  float *weights[SHAPES], *x = random_floats((size_t)m * 11008), *y = random_floats((size_t)m * 22016);
  for (int s = 0; s < SHAPES; s++) weights[s] = random_floats((size_t)shapes[s][0] * (size_t)shapes[s][1]);
  double begin = now(), work = 0;
  for (int turn = 0; turn < 2 || now() - begin < 1; turn++) {
    for (int s = 0; s < SHAPES; s++) {
      const int n = shapes[s][0], k = shapes[s][1];
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1, x, k, weights[s], k, 0, y, n);
      work += 2.0 * m * n * k;
    }
    if (turn == 0) begin = now(), work = 0;  // buffers are there, threads awake
  }
  printf("%.1f %s\n", work / (now() - begin) / 1e9, openblas_get_corename());
  return 0;
}
