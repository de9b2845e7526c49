// How deep the stack gets in every kernel that keeps buffers there, and in decoding and resizing images: run on a painted stack by one
// thread, which then does what the first thread and one of the team do. Prints a table with an argument.
#include "system/stack.h"

#include <omp.h>
#include <pthread.h>
#include <sys/mman.h>

#include "image/image.h"
#include "kernels/attention/attention_variant.h"
#include "kernels/float32/matmul.h"
#include "kernels/rows/cache_rows.h"
#include "../kernels/product/packed_operands.h"

enum { ROOM = 8 << 20, PAINT = 0xA5 };

static uint8_t *stack;

// Bytes that `work(argument)` used.
static int64_t depth_of(void *(*work)(void *), void *argument) {
  pthread_attr_t attributes;
  pthread_t thread;
  memset(stack, PAINT, ROOM);
  pthread_attr_init(&attributes);
  if (pthread_attr_setstack(&attributes, stack, ROOM) != 0 || pthread_create(&thread, &attributes, work, argument) != 0) exit(2);
  pthread_join(thread, NULL);
  int64_t at = 0;
  while (at < ROOM && stack[at] == PAINT) at++;
  return ROOM - at;
}

static bool prints;
static int64_t none, deepest;  // what a thread that does nothing uses, its thread-local variables for the most part

static void *nothing(void *argument) { return argument; }

// Half of the size is left for what lies above: thread-local variables, the first thread's way to the work, and OpenMP's own.
static void measure(const char *what, const char *which, void *(*work)(void *), void *argument) {
  const int64_t bytes = depth_of(work, argument) - none;
  if (prints) printf("%7.1f KiB  %s %s\n", (double)bytes / 1024, what, which);
  CHECK(bytes > 256 && bytes <= LMMC_STACK_BYTES / 2, "%s %s: %lld bytes", what, which, (long long)bytes);
  if (bytes > deepest) deepest = bytes;
}

// ---- attention

enum { MOST_QUERIES = 200 };

typedef struct {
  const lmmc_attention_variant *variant;
  lmmc_attention a;
} attention_work;

static void *attend(void *argument) {
  const attention_work *w = argument;
  omp_set_num_threads(1);
  lmmc_attention_run(w->variant, &w->a);
  return NULL;
}

// A row of one slot behind the queries of another: a segment of few rows, whose parts are on the stack under the blocks of the other.
static void *attend_cached(void *argument) {
  const attention_work *w = argument;
  static int32_t slots[MOST_QUERIES + 1], places[MOST_QUERIES + 1];
  const int32_t last = (int32_t)w->a.queries - 1, end = (int32_t)w->a.keys;
  for (int32_t i = 0; i < last; i++) slots[i] = 0, places[i] = end - last + i;
  slots[last] = 1, places[last] = end - 1;
  omp_set_num_threads(1);
  lmmc_attention_run_cached(w->variant, &(lmmc_cached_attention){w->a, slots, places, 0});
  return NULL;
}

static void attention(lmmc_cpu cpu) {
  enum { QUERIES = MOST_QUERIES, KEYS = 300, MOST = 512 };
  static const lmmc_kv_type types[] = {LMMC_KV_F32, LMMC_KV_BF16, LMMC_KV_I8};
  static const char *const names[] = {"f32", "bf16", "int8"};
  static const int64_t heads[] = {64, 80, 128, 256, MOST};
  float *q = allocate((QUERIES + 1) * MOST * sizeof *q), *out = allocate((QUERIES + 1) * MOST * sizeof *out);
  void *kv = allocate(KEYS * (MOST + 64) * sizeof(float));
  memset(q, 0, (QUERIES + 1) * MOST * sizeof *q), memset(kv, 0, KEYS * (MOST + 64) * sizeof(float));
  int count;
  const lmmc_attention_variant *const *variants = lmmc_attention_variants(&count);
  for (int v = 0; v < count; v++)
    for (int t = 0; variants[v] && !(variants[v]->needs & ~cpu.features) && t < 3; t++)
      for (size_t h = 0; h < sizeof heads / sizeof *heads; h++)
        for (int64_t queries = 1; queries <= QUERIES; queries += QUERIES - 1) {
          const int64_t d = heads[h], stride = types[t] == LMMC_KV_I8 ? lmmc_row_bytes_i8(1, d) : d;
          // NaN in the last row, for which those that do not see it are computed once more.
          const int64_t bytes = stride * (types[t] == LMMC_KV_F32 ? 4 : types[t] == LMMC_KV_BF16 ? 2 : 1);
          memset(kv, 0, KEYS * (MOST + 64) * sizeof(float)), memset((char *)kv + (KEYS - 1) * bytes, 0xff, (size_t)bytes);
          attention_work w = {variants[v],
                              {.queries = queries,
                               .keys = KEYS,
                               .heads = 1,
                               .kv_heads = 1,
                               .head_size = d,
                               .scale = 1,
                               .causal = true,
                               .q = q,
                               .q_stride = d,
                               .kv_type = types[t],
                               .k = kv,
                               .v = kv,
                               .k_stride = stride,
                               .v_stride = stride,
                               .out = out,
                               .out_stride = d}};
          char which[64];
          snprintf(which, sizeof which, "%s, %s cache, head of %d, %d queries", variants[v]->name, names[t], (int)d, (int)queries);
          measure("attention", which, attend, &w);
          if (queries == 1) continue;
          w.a.queries++;
          measure("attention beside a row of another sequence", which, attend_cached, &w);
        }
  free(q), free(out), free(kv);
}

// ---- products

typedef struct {
  lmmc_packed_matmul p;
  lmmc_packed_type type;
  lmmc_choice choice;
} product_work;

static void *multiply(void *argument) {
  const product_work *w = argument;
  omp_set_num_threads(1);
  lmmc_packed_product(&w->p, w->type,
                      w->type == LMMC_BF16 ? w->choice.code.bf16
                      : w->type == LMMC_Q8 ? w->choice.code.q8
                                           : w->choice.code.q4,
                      w->choice.code.finish);
  return NULL;
}

static void products(lmmc_cpu cpu) {
  enum { K = 2048, N = 4 * LMMC_PANEL, M = 300 };
  for (int v = 0; v < lmmc_variant_count(); v++) {
    const lmmc_variant *variant = lmmc_variant_at(v);
    if (variant->needs & ~cpu.features) continue;
    for (lmmc_packed_type type = LMMC_BF16; type <= LMMC_Q4; type++)
      for (int64_t m = 1; m <= M; m += M - 1) {
        const int64_t stride = activation_bytes(type, K);
        uint8_t *weight = random_weight(type, RANDOM, N, K), *x = random_activations(type, RANDOM, m, K, stride);
        float *out = allocate((size_t)(m * N) * sizeof *out);
        product_work w = {{.m = m, .n = N, .k = K, .x = x, .x_stride = stride, .weight = weight, .out = out, .out_stride = N},
                          type,
                          lmmc_choose((lmmc_cpu){.features = variant->needs})};
        char which[64];
        snprintf(which, sizeof which, "%s, %s, %d rows", variant->name, type_names[type], (int)m);
        measure("product", which, multiply, &w);
        free(weight), free(x), free(out);
      }
  }
}

static void *multiply_f32(void *argument) {
  omp_set_num_threads(1);
  lmmc_matmul_f32(*(const lmmc_matmul *)argument);
  return NULL;
}

static void products_f32(void) {
  enum { K = 1024, N = 1024, M = 300 };
  float *x = allocate(M * K * sizeof *x), *weight = allocate(N * K * sizeof *weight), *out = allocate(M * N * sizeof *out);
  memset(x, 0, M * K * sizeof *x), memset(weight, 0, N * K * sizeof *weight);
  for (int64_t m = 1; m <= M; m += M - 1) {
    lmmc_matmul w = {.m = m, .n = N, .k = K, .x = x, .x_stride = K, .weight = weight, .weight_stride = K, .out = out, .out_stride = N};
    measure("product f32,", m == 1 ? "1 row" : "300 rows, OpenBLAS", multiply_f32, &w);
  }
  free(x), free(weight), free(out);
}

// ---- images

static void *picture(void *argument) {
  static uint8_t pixels[336 * 336 * 3];
  lmmc_image image;
  lmmc_error e = {0};
  omp_set_num_threads(1);
  const lmmc_preprocess p = {.mode = LMMC_RESIZE_PAD, .size = 336};
  const bool done = lmmc_image_read(argument, LMMC_IMAGE_MAX_PIXELS, &image, &e) && lmmc_preprocess_image(&image, &p, pixels, &e);
  CHECK(done, "%s", e.message);
  lmmc_image_free(&image);
  return NULL;
}

int main(int argc, char **argv) {
  (void)argv;
#ifdef __SANITIZE_ADDRESS__
  printf("not run: the depth of stacks; the address sanitizer widens every frame\n0 passed, 0 failed\n");
  return 0;
#endif
  prints = argc > 1;
  stack = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stack == MAP_FAILED) return 2;
  none = depth_of(nothing, NULL);
  CHECK(none < LMMC_STACK_BYTES / 4, "%lld bytes of a thread that does nothing", (long long)none);
  const lmmc_cpu cpu = lmmc_this_cpu();
  attention(cpu);
  products(cpu);
  products_f32();
  static const char *const files[] = {"progressive-422.jpg", "rgb-420.jpg",         "cmyk.jpg",        "palette8-adam7.png",
                                      "grey16-adam7.png",    "lossless-alpha.webp", "lossy-alpha.webp"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char path[4400];
    snprintf(path, sizeof path, "%.*s/../image/image_golden/%s", (int)(strrchr(__FILE__, '/') - __FILE__), __FILE__, files[i]);
    measure("image", files[i], picture, path);
  }
  if (prints)
    printf("%7.1f KiB  the deepest, of %d KiB, and %.1f KiB without any work\n", (double)deepest / 1024, LMMC_STACK_BYTES >> 10,
           (double)none / 1024);
  return check_report();
}
