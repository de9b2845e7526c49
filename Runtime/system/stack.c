#define _GNU_SOURCE  // pthread_setattr_default_np
#include "stack.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>
#include <unistd.h>

// ---- the team's

// No library is set up yet when this runs, no sanitizer's either, so it calls nothing.
#define BARE __attribute__((no_sanitize("address", "undefined"), noinline))

BARE static bool begins(const char *text, const char *with) {
  while (*with && *text == *with) text++, with++;
  return !*with;
}

// Takes away what would set the size of the team's stacks. libgomp reads it in a constructor, in a dynamic program before any of ours; a
// batch system's OMP_STACKSIZE=64k is not meant for us, and a huge one is of no use.
BARE static void before_constructors(int argc, char **argv, char **environment) {
  (void)argc, (void)argv;
  char **to = environment;
  for (char **from = environment; *from; from++)
    if (!begins(*from, "OMP_STACKSIZE") && !begins(*from, "GOMP_STACKSIZE") && !begins(*from, "KMP_STACKSIZE")) *to++ = *from;
  *to = NULL;
}

__attribute__((section(".preinit_array"), used)) static void (*const lmmc_before_constructors)(int, char **, char **) = before_constructors;

// libgomp's threads get what the C library gives by default, which would follow `ulimit -s`.
__attribute__((constructor(101))) static void set_default(void) {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return;
  if (pthread_attr_setstacksize(&attributes, LMMC_STACK_BYTES) == 0) pthread_setattr_default_np(&attributes);
  pthread_attr_destroy(&attributes);
}

// ---- the first thread's

static struct {
  ucontext_t outside, inside;
  int (*run)(int, char **);
  int argc, result;
  char **argv;
} call;

static void enter(void) { call.result = call.run(call.argc, call.argv); }

int lmmc_on_stack(int (*run)(int, char **), int argc, char **argv) {
  // Arguments and environment take up to a quarter of what the limit allows.
  struct rlimit limit;
  if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur >= 2 * (rlim_t)LMMC_STACK_BYTES) return run(argc, argv);
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  char *bytes = mmap(NULL, page + LMMC_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  // A page that cannot be touched ends the stack.
  if (bytes == MAP_FAILED || mprotect(bytes, page, PROT_NONE) != 0 || getcontext(&call.inside) != 0) {
    fprintf(stderr, "error: out of memory for a stack of %d KiB, 'ulimit -s' allows only %ju\n", LMMC_STACK_BYTES >> 10,
            (uintmax_t)limit.rlim_cur >> 10);
    return 1;
  }
  call.run = run, call.argc = argc, call.argv = argv;
  call.inside.uc_stack.ss_sp = bytes + page, call.inside.uc_stack.ss_size = LMMC_STACK_BYTES, call.inside.uc_link = &call.outside;
  makecontext(&call.inside, enter, 0);
  if (swapcontext(&call.outside, &call.inside) != 0) return run(argc, argv);
  return call.result;
}
