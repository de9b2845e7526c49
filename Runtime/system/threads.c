#define _GNU_SOURCE  // sched_getaffinity
#include "threads.h"

#include <malloc.h>
#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "cgroup.h"
#include "stack.h"

// Present only in programs that link OpenBLAS.
extern void openblas_set_num_threads(int) __attribute__((weak));
// Present only with libomp, which has a size of its own for the stacks of its threads.
extern void kmp_set_stacksize_s(size_t bytes) __attribute__((weak));

enum { MAX_CPUS = 8192 };

static struct {
  cpu_set_t mask[MAX_CPUS / CPU_SETSIZE];
  int cpus;
  double clock;
} start;

static lmmc_threads started;
static int in_use;

double lmmc_clock(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double lmmc_clock_start(void) { return start.clock; }

// Whether OpenBLAS will get `buffers` of its buffers, 128 MiB of address space each. It does not give up when it gets
// none but asks for ever, so this must be known before.
static bool blas_room(int buffers) {
  enum { BYTES = 130 << 20, MOST = 1025 };
  void *tried[MOST];
  int count = 0;
  bool room = true;
  while (room && count < buffers && count < MOST) {
    tried[count] = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    room = tried[count] != MAP_FAILED;
    count += room;
  }
  while (count > 0) munmap(tried[--count], BYTES);
  return room;
}

// OpenBLAS picks its kernels in a constructor of its own that comes later, and libgomp may bind the first thread to one
// CPU in another; so this one is early. A stale OPENBLAS_CORETYPE would choose an older core and halve the speed.
__attribute__((constructor(101))) static void before_libraries(void) {
  start.clock = lmmc_clock();
  mallopt(M_ARENA_MAX, 1);  // the first thread allocates, nearly alone; each further arena would take 64 MiB of addresses
  const char *core = getenv("LMMC_BLAS_CORETYPE");
  if (core && *core)
    setenv("OPENBLAS_CORETYPE", core, 1);
  else
    unsetenv("OPENBLAS_CORETYPE");
  unsetenv("OPENBLAS_L2_SIZE");
  setenv("OPENBLAS_NUM_THREADS", "1", 1);  // more are asked for when it is known that there is room for them
  if (openblas_set_num_threads && !blas_room(2)) {
    static const char text[] = "error: out of memory, the process may not have the 256 MiB of address space that OpenBLAS takes\n";
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(1);
  }
  if (sched_getaffinity(0, sizeof start.mask, start.mask) == 0) start.cpus = CPU_COUNT_S(sizeof start.mask, start.mask);
}

// ---- threads

lmmc_threads lmmc_threads_plan(int wanted) {
  lmmc_threads t = {.cpus = start.cpus, .quota = lmmc_cgroup_quota("")};
  if (t.cpus < 1) {  // more CPUs than the mask has room for, or no such call
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    t.cpus = online > 0 ? (int)online : 1;
  }
  t.threads = t.cpus;
  // A fraction counts as a whole CPU: the last thread then waits some of the time, which beats not having it.
  if (t.quota > 0 && t.quota < t.cpus) t.threads = (int)t.quota + ((double)(int)t.quota < t.quota);
  if (wanted > 0) t.threads = wanted;
  if (t.threads > omp_get_thread_limit()) t.threads = omp_get_thread_limit();
  const char *bind = getenv("OMP_PROC_BIND");
  t.pinned = start.cpus > 0 && t.threads == start.cpus && (!bind || !*bind || strcasecmp(bind, "false") == 0);
  // OpenBLAS gives a small product fewer threads. libgomp then ends the others, and those that follow start on the first thread's CPU.
  if (openblas_set_num_threads && t.threads > 2) t.pinned = false;
  return t;
}

static int nth_cpu(int n) {
  for (int cpu = 0; cpu < MAX_CPUS; cpu++)
    if (CPU_ISSET_S((size_t)cpu, sizeof start.mask, start.mask) && n-- == 0) return cpu;
  return -1;
}

bool lmmc_threads_room(int threads, lmmc_error *e) {
  // OpenBLAS takes a buffer for each thread and one for the caller of a product; two of them it has had since its start. The stacks take one more.
  return !openblas_set_num_threads || blas_room(threads) ||
         lmmc_fail(e, 1, "out of memory, OpenBLAS takes 128 MiB of address space for each of %d threads, '--threads' sets their number",
                   threads);
}

// ---- whether they can be had

// An ended thread counts against the process's limits until the kernel has put it away, a little after it can be joined.
static void wait_until_alone(void) {
  char status[4096];
  for (int i = 0; i < 1000 && lmmc_read_small("", "/proc/self/status", status, sizeof status); i++) {
    const char *line = strstr(status, "Threads:");
    if (!line || atoi(line + strlen("Threads:")) <= 1) return;
    nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
  }
}

static void *pass(void *gate) {
  pthread_mutex_lock(gate);
  pthread_mutex_unlock(gate);
  return NULL;
}

// How many of `wanted` threads there can be beside this one at once; `*error` says why not more. libgomp and libomp end the program when
// they get fewer than they ask for, so this is tried before, with stacks of the size that theirs have.
static int others(int wanted, int *error) {
  pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
  pthread_t *threads = malloc((size_t)wanted * sizeof *threads);
  int count = 0;
  if (!threads) return 0;
  pthread_mutex_lock(&gate);
  while (count < wanted && (*error = pthread_create(&threads[count], NULL, pass, &gate)) == 0) count++;
  pthread_mutex_unlock(&gate);
  for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
  free(threads);
  if (wanted > 0) wait_until_alone();
  return count;
}

// How many of `wanted` threads can be had, this one included; fewer come with a line on standard error.
static int obtainable(int wanted) {
  // Where OpenMP ends threads between regions, their successors may begin before they are gone.
  const int lives = openblas_set_num_threads && wanted > 2 ? 2 : 1;
  int error = 0, count = 1 + others(lives * (wanted - 1), &error) / lives;
  // Where it is addresses that end, what follows needs some too.
  struct rlimit most;
  if (count < wanted && getrlimit(RLIMIT_AS, &most) == 0 && most.rlim_cur != RLIM_INFINITY) count = (count + 1) / 2;
  if (count < wanted)
    fprintf(stderr, "warning: only %d of %d threads can be had: %s; '--threads' sets their number\n", count, wanted,
            lmmc_reason(error).text);
  return count;
}

// Makes `threads` threads the team, each on a CPU of its own if `*pinned`, which then says whether that went; how many there are.
static int gather(int threads, bool *pinned) {
  int there = 0, bound = 0;
  omp_set_num_threads(threads);
#pragma omp parallel num_threads(threads) reduction(+ : there, bound)
  {
    there++;
    if (*pinned) {
      cpu_set_t one[MAX_CPUS / CPU_SETSIZE];
      CPU_ZERO_S(sizeof one, one);
      CPU_SET_S((size_t)nth_cpu(omp_get_thread_num()), sizeof one, one);
      bound += sched_setaffinity(0, sizeof one, one) == 0;
    }
  }
  *pinned = *pinned && bound == there;
  if (openblas_set_num_threads) openblas_set_num_threads(there);
  return in_use = there;
}

lmmc_threads lmmc_threads_start(int wanted) {
  started = lmmc_threads_plan(wanted);
  const int planned = started.threads;
  started.threads = obtainable(planned);
  if (started.threads < planned) started.pinned = false;
  if (kmp_set_stacksize_s) kmp_set_stacksize_s(LMMC_STACK_BYTES);
  omp_set_dynamic(0);
  started.threads = gather(started.threads, &started.pinned);
  return started;
}

lmmc_threads lmmc_threads_started(void) { return started; }

void lmmc_threads_aside(void) {
  if (start.cpus > 0) sched_setaffinity(0, sizeof start.mask, start.mask);
  omp_set_num_threads(1);
}

void lmmc_threads_use(int threads) {
  if (threads == 0 || threads > started.threads) threads = started.threads;
  // The first ones stay; threads that libgomp ended before are new, on the first one's CPU.
  if (threads != in_use) gather(threads, &(bool){started.pinned});
}
