#define _GNU_SOURCE  // sched_getaffinity
#include "threads.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <omp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

// Present only in programs that link OpenBLAS.
extern void openblas_set_num_threads(int) __attribute__((weak));

enum { MAX_CPUS = 8192 };

static struct {
  cpu_set_t mask[MAX_CPUS / CPU_SETSIZE];
  int cpus;
  double clock;
} start;

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
  const char *core = getenv("LMMC_BLAS_CORETYPE");
  if (core && *core) setenv("OPENBLAS_CORETYPE", core, 1);
  else unsetenv("OPENBLAS_CORETYPE");
  unsetenv("OPENBLAS_L2_SIZE");
  setenv("OPENBLAS_NUM_THREADS", "1", 1);  // more are asked for when it is known that there is room for them
  if (openblas_set_num_threads && !blas_room(2)) {
    static const char text[] = "error: out of memory, the process may not have the 256 MiB of address space that OpenBLAS takes\n";
    _exit(write(STDERR_FILENO, text, sizeof text - 1) < 0 ? 1 : 1);
  }
  if (sched_getaffinity(0, sizeof start.mask, start.mask) == 0) start.cpus = CPU_COUNT_S(sizeof start.mask, start.mask);
}

// ---- cgroup quota

// Reads a small file as a string; false when it is absent. No stdio: these files are read before anything else.
static bool read_file(const char *root, const char *path, char *text, size_t size) {
  char name[PATH_MAX];
  int n = snprintf(name, sizeof name, "%s%s", root, path);
  if (n < 0 || n >= (int)sizeof name) return false;
  int fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  size_t count = 0;
  for (ssize_t got; count < size - 1; count += (size_t)got)
    if ((got = read(fd, text + count, size - 1 - count)) <= 0) break;
  close(fd);
  text[count] = 0;
  return true;
}

static double share(long long quota, long long period) {
  return quota > 0 && period > 0 ? (double)quota / (double)period : 0;
}

static double quota_v2(const char *root, const char *group) {
  char path[PATH_MAX], text[64];
  long long quota, period;
  int n = snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
  if (n < 0 || n >= (int)sizeof path || !read_file(root, path, text, sizeof text)) return 0;
  return sscanf(text, "%lld %lld", &quota, &period) == 2 ? share(quota, period) : 0;  // "max 100000": no limit
}

static double quota_v1(const char *root, const char *group) {
  static const char *const mounts[] = {"cpu", "cpu,cpuacct"};
  char path[PATH_MAX], quota[64], period[64];
  for (size_t i = 0; i < 2; i++) {
    int n = snprintf(path, sizeof path, "/sys/fs/cgroup/%s%s/cpu.cfs_quota_us", mounts[i], group);
    if (n < 0 || n >= (int)sizeof path || !read_file(root, path, quota, sizeof quota)) continue;
    snprintf(path, sizeof path, "/sys/fs/cgroup/%s%s/cpu.cfs_period_us", mounts[i], group);
    if (read_file(root, path, period, sizeof period)) return share(atoll(quota), atoll(period));
  }
  return 0;
}

// The smallest limit of a group and all groups above it. In a container the path may be the host's, which is not
// mounted here; the root of the mount is then the container's own group.
static double quota_up(double (*of)(const char *, const char *), const char *root, char *group) {
  double least = 0;
  for (;;) {
    size_t length = strlen(group);
    while (length > 0 && group[length - 1] == '/') group[--length] = 0;
    double quota = of(root, group);
    if (quota > 0 && (least == 0 || quota < least)) least = quota;
    if (length == 0) return least;
    char *slash = strrchr(group, '/');
    if (!slash) return least;
    *slash = 0;
  }
}

static bool names_cpu(const char *controllers, size_t length) {
  for (const char *p = controllers, *end = p + length; p < end;) {
    const char *comma = memchr(p, ',', (size_t)(end - p)), *stop = comma ? comma : end;
    if (stop - p == 3 && memcmp(p, "cpu", 3) == 0) return true;
    p = stop + 1;
  }
  return false;
}

double lmmc_cgroup_quota(const char *root) {
  char text[16384], v2[PATH_MAX] = "", v1[PATH_MAX] = "";
  if (read_file(root, "/proc/self/cgroup", text, sizeof text)) {
    for (char *line = text, *end; *line; line = end) {  // "ID:CONTROLLERS:PATH"; version 2 is ID 0 without controllers
      end = strchrnul(line, '\n');
      if (*end) *end++ = 0;
      char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
      if (!path || strlen(path + 1) >= PATH_MAX) continue;
      size_t length = (size_t)(path - controllers - 1);
      if (length == 0) strcpy(v2, path + 1);
      else if (names_cpu(controllers + 1, length)) strcpy(v1, path + 1);
    }
  }
  double a = quota_up(quota_v2, root, v2), b = quota_up(quota_v1, root, v1);
  return a > 0 && (b == 0 || a < b) ? a : b;
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
  return t;
}

static int nth_cpu(int n) {
  for (int cpu = 0; cpu < MAX_CPUS; cpu++)
    if (CPU_ISSET_S((size_t)cpu, sizeof start.mask, start.mask) && n-- == 0) return cpu;
  return -1;
}

bool lmmc_threads_room(int threads, lmmc_error *e) {
  // One a thread, and one for the caller of a product, of which it has two since its start; one more for the stacks.
  return !openblas_set_num_threads || blas_room(threads) ||
         lmmc_fail(e, 1, "out of memory, OpenBLAS takes 128 MiB of address space for each of %d threads, '--threads' sets their number",
                   threads);
}

lmmc_threads lmmc_threads_start(int wanted) {
  lmmc_threads t = lmmc_threads_plan(wanted);
  omp_set_dynamic(0);
  omp_set_num_threads(t.threads);
  int started = 0, pinned = 0;
#pragma omp parallel num_threads(t.threads) reduction(+ : started, pinned)
  {
    started++;
    if (t.pinned) {
      cpu_set_t one[MAX_CPUS / CPU_SETSIZE];
      CPU_ZERO_S(sizeof one, one);
      CPU_SET_S((size_t)nth_cpu(omp_get_thread_num()), sizeof one, one);
      pinned += sched_setaffinity(0, sizeof one, one) == 0;
    }
  }
  t.pinned = t.pinned && pinned == started;
  t.threads = started;
  if (openblas_set_num_threads) openblas_set_num_threads(t.threads);
  return t;
}
