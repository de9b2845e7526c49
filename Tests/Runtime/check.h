// Checks for the C tests: each failure is printed with its place and the test goes on.
// A test program ends with `return check_report();`, which prints one line and returns 1 if anything failed.
#ifndef CHECK_H
#define CHECK_H
#include <stdio.h>

static int check_passed, check_failed;

// CHECK(condition, "printf format", ...): the text says what was seen.
#define CHECK(condition, ...)                                \
  do {                                                       \
    if (condition) {                                         \
      check_passed++;                                        \
    } else {                                                 \
      check_failed++;                                        \
      printf("%s:%d: %s: ", __FILE__, __LINE__, #condition); \
      printf(__VA_ARGS__);                                   \
      printf("\n");                                          \
    }                                                        \
  } while (0)

static inline int check_report(void) {
  printf("%d passed, %d failed\n", check_passed, check_failed);
  return check_failed != 0;
}

#endif
