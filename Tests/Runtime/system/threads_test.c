// How many threads, where they run, and what the early constructor does to the environment.
#define _GNU_SOURCE
#include <omp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "system/cgroup.h"
#include "system/stack.h"
#include "system/threads.h"
#include "../check.h"

static char folder[] = "/tmp/lmmc-threads-XXXXXX";

static void put(const char *path, const char *text) {
  char name[4096];
  snprintf(name, sizeof name, "%s%s", folder, path);
  for (char *slash = name + strlen(folder); (slash = strchr(slash + 1, '/'));) {
    *slash = 0;
    mkdir(name, 0777);
    *slash = '/';
  }
  FILE *f = fopen(name, "w");
  if (!f) perror(name), exit(2);
  fputs(text, f);
  fclose(f);
}

static void clear(void) {
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'/proc '%s'/sys", folder, folder);
  if (system(command) != 0) exit(2);
}

static void quotas(void) {
  const char *group = "/proc/self/cgroup";
#define QUOTA(wanted)                                                                               \
  do {                                                                                              \
    double got_ = lmmc_cgroup_quota(folder);                                                        \
    CHECK(got_ > (wanted)-1e-9 && got_ < (wanted) + 1e-9, "%g, wanted %g", got_, (double)(wanted)); \
    clear();                                                                                        \
  } while (0)
  QUOTA(0);  // nothing there
  put("/sys/fs/cgroup/cpu.max", "150000 100000\n");
  QUOTA(1.5);  // without /proc, as in a container
  put(group, "0::/\n"), put("/sys/fs/cgroup/cpu.max", "max 100000\n");
  QUOTA(0);
  put(group, "0::/a/b\n"), put("/sys/fs/cgroup/a/b/cpu.max", "400000 100000\n");
  QUOTA(4);
  put(group, "0::/a/b\n"), put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n"), put("/sys/fs/cgroup/a/cpu.max", "50000 20000\n");
  QUOTA(2.5);  // a group above limits, too
  put(group, "0::/a/b\n"), put("/sys/fs/cgroup/a/b/cpu.max", "100000 100000\n"), put("/sys/fs/cgroup/a/cpu.max", "300000 100000\n");
  QUOTA(1);
  put(group, "0::/docker/0123\n"), put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
  QUOTA(2);  // the host's path, which is not mounted here
  put(group, "5:cpu,cpuacct:/x\n3:memory:/y\n"), put("/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "300000\n"),
      put("/sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n");
  QUOTA(3);
  put(group, "5:cpu,cpuacct:/x\n"), put("/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "300000\n"),
      put("/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "200000\n");
  QUOTA(1.5);
  put(group, "5:cpu:/x\n"), put("/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "-1\n"), put("/sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n");
  QUOTA(0);
  put(group, "4:cpuset:/x\n"), put("/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "100000\n"),
      put("/sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n");
  QUOTA(0);  // cpuset is not cpu
  put(group, "nonsense\n::\n0:\n"), put("/sys/fs/cgroup/cpu.max", "x y\n");
  QUOTA(0);
  put("/sys/fs/cgroup/cpu.max", "100000 0\n");
  QUOTA(0);
}

static int started_cpus(void) {
  cpu_set_t set;
  sched_getaffinity(0, sizeof set, &set);
  return CPU_COUNT(&set);
}

// Every thread of a later region: 1 when each sits alone on its own CPU, -1 when none is bound.
static int binding(int cpus) {
  int bound = 0, threads = 0;
  unsigned long long seen = 0;
#pragma omp parallel reduction(+ : bound, threads) reduction(| : seen)
  {
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    threads++;
    bound += CPU_COUNT(&set) == 1;
    if (CPU_COUNT(&set) == 1) seen |= 1ull << (sched_getcpu() % 64);
  }
  if (bound == 0 && cpus > 1) return -1;
  return bound == threads && __builtin_popcountll(seen) == threads;
}

// In OpenBLAS's place: with it linked, memory for its buffers is asked for at the start and by lmmc_threads_room.
void openblas_set_num_threads(int threads);
void openblas_set_num_threads(int threads) { (void)threads; }

static void limit_memory(rlim_t bytes) { setrlimit(RLIMIT_AS, &(struct rlimit){bytes, bytes}); }

#ifndef __SANITIZE_ADDRESS__
static void room(void) {
  lmmc_error e = {0};
  CHECK(lmmc_threads_room(2, &e) && e.code == 0, "%d", e.code);
  limit_memory((rlim_t)2 << 30);
  CHECK(lmmc_threads_room(2, &e) && e.code == 0, "%d", e.code);
  CHECK(!lmmc_threads_room(64, &e) && e.code == 1, "%d", e.code);
  CHECK(strcmp(e.message, "out of memory, OpenBLAS takes 128 MiB of address space for each of 64 threads, '--threads' sets their number") ==
            0,
        "%s", e.message);
}
#endif

// More threads than find memory for their stacks: those that do are the team.
#ifndef __SANITIZE_ADDRESS__
static void few(int most) {
  const int wanted = lmmc_threads_plan(1000).threads, got = lmmc_threads_start(1000).threads;
  int team = 0;
#pragma omp parallel reduction(+ : team)
  team++;
  CHECK(wanted == 1000 && got >= 1 && got <= most && team == got && lmmc_threads_started().threads == got, "%d threads, a team of %d", got,
        team);
  lmmc_threads_use(1), lmmc_threads_use(1000);
  CHECK(omp_get_max_threads() == got, "%d", omp_get_max_threads());
}

// Works on a stack of which `bytes` are used.
static __attribute__((noinline)) int use_stack(int bytes) {
  volatile char room[bytes];
  for (int i = 0; i < bytes; i += 1024) room[i] = 1;
  return room[0];
}

static int on_stack(int argc, char **argv) {
  (void)argv;
  lmmc_threads_start(3);
  int sum = use_stack(LMMC_STACK_BYTES / 4 * 3);
#pragma omp parallel reduction(+ : sum)
  sum += use_stack(LMMC_STACK_BYTES / 4 * 3);
  CHECK(sum == 4 && argc == 7, "%d %d", sum, argc);
  return 3;
}
#endif

static int child(const char *what) {
  if (strcmp(what, "environment") == 0) {
    const char *core = getenv("OPENBLAS_CORETYPE");
    printf("%s", core ? core : "unset");
    return getenv("OPENBLAS_L2_SIZE") != NULL;
  }
#ifndef __SANITIZE_ADDRESS__
  if (strcmp(what, "room") == 0) {
    room();
    return check_report();
  }
  if (strcmp(what, "few") == 0) {
    few(500);
    return check_report();
  }
  if (strcmp(what, "few processes") == 0) {
    // The kernel lets root have any number.
    if (geteuid() == 0 && setuid(61235) != 0) return puts("not run: a limit on processes; no other user can be taken"), 0;
    setrlimit(RLIMIT_NPROC, &(struct rlimit){5, 5});
    few(5);
    return check_report();
  }
  if (strcmp(what, "stack") == 0) {
    CHECK(!getenv("OMP_STACKSIZE") && !getenv("GOMP_STACKSIZE") && getenv("OMP_WAIT_POLICY"), "the environment is not as it should be");
    const int code = lmmc_on_stack(on_stack, 7, NULL);
    CHECK(code == 3, "%d", code);
    return check_report();
  }
#endif
  int cpus = started_cpus(), wanted = atoi(what);
  lmmc_threads plan = lmmc_threads_plan(wanted), t = lmmc_threads_start(wanted);
  CHECK(t.cpus == cpus && t.threads == plan.threads && t.pinned == plan.pinned, "%d CPUs, %d and %d threads", t.cpus, t.threads,
        plan.threads);
  if (wanted) CHECK(t.threads == wanted, "%d threads, wanted %d", t.threads, wanted);
  CHECK(t.pinned == (t.threads == cpus && cpus <= 2), "%d threads on %d CPUs, pinned: %d", t.threads, cpus, t.pinned);
  CHECK(omp_get_max_threads() == t.threads, "%d", omp_get_max_threads());
  CHECK(binding(cpus) == (t.pinned ? 1 : -1) || cpus == 1, "%d threads on %d CPUs, bound: %d", t.threads, cpus, binding(cpus));
  // Fewer, and all of them again: where libgomp has ended some, their successors must not stay on the first one's CPU.
  for (int use = t.threads - 1; use > 0; use--) {
    lmmc_threads_use(use);
    CHECK(omp_get_max_threads() == use, "%d", omp_get_max_threads());
    int team = 0;
#pragma omp parallel reduction(+ : team)
    team++;
    CHECK(team == use, "%d", team);
    lmmc_threads_use(0);
    CHECK(omp_get_max_threads() == t.threads, "%d", omp_get_max_threads());
    CHECK(binding(cpus) == (t.pinned ? 1 : -1) || cpus == 1, "%d threads on %d CPUs after %d, bound: %d", t.threads, cpus, use,
          binding(cpus));
  }
  return check_report();
}

static char output[4096];

static rlim_t limit;        // of the next program's memory; 0: none
static rlim_t stack_limit;  // of its first stack

static int rerun(const char *self, const char *what, int cpus, const char *set1, const char *set2) {
  int out[2];
  if (pipe(out)) exit(2);
  pid_t pid = fork();
  if (pid == 0) {
    dup2(out[1], 1);
    if (limit) {
      dup2(out[1], 2);
      limit_memory(limit);
    }
    if (stack_limit) setrlimit(RLIMIT_STACK, &(struct rlimit){stack_limit, stack_limit});
    if (cpus) {
      cpu_set_t all, some;
      CPU_ZERO(&some);
      sched_getaffinity(0, sizeof all, &all);
      for (int c = CPU_SETSIZE - 1; c >= 0 && cpus > 0; c--)
        if (CPU_ISSET(c, &all)) CPU_SET(c, &some), cpus--;
      sched_setaffinity(0, sizeof some, &some);
    }
    if (set1) putenv((char *)set1);
    if (set2) putenv((char *)set2);
    execl(self, self, what, NULL);
    _exit(127);
  }
  close(out[1]);
  size_t count = 0;
  for (ssize_t n; (n = read(out[0], output + count, sizeof output - 1 - count)) > 0;) count += (size_t)n;
  output[count] = 0;
  close(out[0]);
  int status;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

int main(int argc, char **argv) {
  if (argc == 2) return child(argv[1]);
  if (!mkdtemp(folder)) return 2;
  quotas();
  rmdir(folder);
  CHECK(rerun(argv[0], "environment", 0, "OPENBLAS_CORETYPE=Haswell", "OPENBLAS_L2_SIZE=512") == 0 && strcmp(output, "unset") == 0, "'%s'",
        output);
  CHECK(rerun(argv[0], "environment", 0, "OPENBLAS_CORETYPE=Haswell", "LMMC_BLAS_CORETYPE=Zen") == 0 && strcmp(output, "Zen") == 0, "'%s'",
        output);
  unsetenv("OMP_PROC_BIND"), unsetenv("OMP_NUM_THREADS"), unsetenv("OMP_THREAD_LIMIT");
  int cpus = started_cpus();
  static const char *const wanted[] = {"0", "1", "2", "3"};
  for (int i = 0; i < 4; i++) {
    CHECK(rerun(argv[0], wanted[i], 0, NULL, NULL) == 0, "%s threads on %d CPUs: %s", wanted[i], cpus, output);
    CHECK(rerun(argv[0], wanted[i], 1, "OMP_NUM_THREADS=5", NULL) == 0, "%s threads on one CPU: %s", wanted[i], output);
  }
#ifndef __SANITIZE_ADDRESS__
  CHECK(rerun(argv[0], "room", 0, NULL, NULL) == 0, "%s", output);
  limit = (rlim_t)200 << 20;
  CHECK(rerun(argv[0], "room", 0, NULL, NULL) == 1 &&
            strcmp(output, "error: out of memory, the process may not have the 256 MiB of address space that OpenBLAS takes\n") == 0,
        "'%s'", output);
#endif
#ifndef __SANITIZE_ADDRESS__
  limit = (rlim_t)800 << 20;
  CHECK(rerun(argv[0], "few", 0, NULL, NULL) == 0 && strstr(output, "of 1000 threads can be had: "), "%s", output);
  limit = 0;
  CHECK(rerun(argv[0], "few processes", 0, NULL, NULL) == 0, "%s", output);
  stack_limit = 256 << 10;
  CHECK(rerun(argv[0], "stack", 0, "OMP_STACKSIZE=64k", "OMP_WAIT_POLICY=passive") == 0, "%s", output);
  stack_limit = 0;
#endif
  double before = lmmc_clock();
  CHECK(lmmc_clock_start() > 0 && lmmc_clock_start() <= before && lmmc_clock() >= before, "%g", lmmc_clock_start());
  return check_report();
}
