#define _GNU_SOURCE  // O_PATH, tgkill
#include "file_access.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// Landlock as the kernel has it; headers of older systems know less of it, or nothing.
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif
enum {
  READ_FILE = 1 << 2,
  READ_DIR = 1 << 3,
  WRITE_FILE = 1 << 1,
  REMOVE_FILE = 1 << 5,
  MAKE_REG = 1 << 8,
};
enum { VERSION = 1, RULE_BELOW = 1, BIND_AND_CONNECT = 3, ABSTRACT_SOCKETS = 1 };

typedef struct {
  uint64_t files, network, scopes;
} attributes;

typedef struct {
  uint64_t rights;
  int32_t folder;
} __attribute__((packed)) rule;

// What the C library and the runtime read late: the peak of the process's memory, the CPUs that libgomp and OpenBLAS count, and random
// bytes where there is no call for them.
static const char *const late[] = {"/proc/self/status", "/dev/urandom", "/sys/devices/system/cpu/online",
                                   "/sys/devices/system/cpu/possible"};

// ---- the ruleset

static int version(void) { return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, VERSION); }

// A newer kernel's rights that are not named here are left as they are: a program must not fail on it.
static int create(int abi) {
  attributes a = {.files = 0x1fff};            // 1: all but what follows
  if (abi >= 2) a.files |= UINT64_C(1) << 13;  // names moved to other folders
  if (abi >= 3) a.files |= UINT64_C(1) << 14;  // files cut
  if (abi >= 4) a.network = BIND_AND_CONNECT;  // TCP
  if (abi >= 5) a.files |= UINT64_C(1) << 15;  // ioctl of devices
  if (abi >= 6) a.scopes = ABSTRACT_SOCKETS;   // signals have the filter's rule
  const size_t size = abi >= 6 ? sizeof a : abi >= 4 ? offsetof(attributes, scopes) : offsetof(attributes, network);
  return (int)syscall(SYS_landlock_create_ruleset, &a, size, 0);
}

// Opens `path` and lets it stay open: /proc makes a file anew that nobody holds, and the rule would be that of the old one.
static bool let(int ruleset, const char *path, int flags, uint64_t rights) {
  const int fd = open(path, O_PATH | O_CLOEXEC | flags);
  if (fd < 0) return false;
  if (ruleset < 0) return close(fd) == 0;
  const rule r = {rights, fd};
  return syscall(SYS_landlock_add_rule, ruleset, RULE_BELOW, &r, 0) == 0;
}

static bool let_folder(int ruleset, const char *path, const char *what, uint64_t rights, lmmc_error *e) {
  return !path || let(ruleset, path, O_DIRECTORY, rights) ||
         lmmc_fail(e, 1, "folder '%s' %s cannot be opened: %s", path, what, lmmc_reason(errno).text);
}

// ---- every thread
// The kernel restricts the thread that asks and those that it makes. OpenMP's are there already, so each is made to ask by a signal.

static volatile int set, answered, refused;

static bool restrict_this(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(SYS_landlock_restrict_self, set, 0) == 0; }

static void on_signal(int number) {
  const int before = errno;
  (void)number;
  if (!restrict_this()) __atomic_add_fetch(&refused, 1, __ATOMIC_RELAXED);
  __atomic_add_fetch(&answered, 1, __ATOMIC_RELEASE);
  errno = before;
}

// Whether the thread has answered, or is no more.
static bool ask(pid_t thread) {
  enum { STEP = 100000, STEPS = 50000 };  // nanoseconds; five seconds, for a machine that is busy
  const int wanted = __atomic_load_n(&answered, __ATOMIC_ACQUIRE) + 1;
  if (syscall(SYS_tgkill, getpid(), thread, SIGURG) != 0) return errno == ESRCH;
  for (int i = 0; i < STEPS; i++) {
    if (__atomic_load_n(&answered, __ATOMIC_ACQUIRE) == wanted) return true;
    if (syscall(SYS_tgkill, getpid(), thread, 0) != 0) return errno == ESRCH;
    nanosleep(&(struct timespec){.tv_nsec = STEP}, NULL);
  }
  return false;
}

typedef struct {
  pid_t *list;
  size_t count, room;
} threads;

static bool is_new(threads *t, pid_t thread) {
  for (size_t i = 0; i < t->count; i++)
    if (t->list[i] == thread) return false;
  return true;
}

static bool remember(threads *t, pid_t thread) {
  if (t->count == t->room) {
    pid_t *more = realloc(t->list, (2 * t->room + 64) * sizeof *more);
    if (!more) return false;
    t->list = more, t->room = 2 * t->room + 64;
  }
  t->list[t->count++] = thread;
  return true;
}

// Asks those that are new in the list of the process's threads; how many there were, or -1.
static int ask_new(threads *t) {
  DIR *folder = opendir("/proc/self/task");
  int count = folder ? 0 : -1;
  for (struct dirent *d; count >= 0 && (d = readdir(folder));) {
    const pid_t thread = (pid_t)atoi(d->d_name);
    if (thread <= 0 || !is_new(t, thread)) continue;
    count = remember(t, thread) && ask(thread) ? count + 1 : -1;
  }
  if (folder) closedir(folder);
  return count;
}

// `*number`, where there is no /proc, says so: this thread is restricted then, and with it those that it makes.
static bool restrict_all(int ruleset, int *number, lmmc_error *e) {
  threads t = {0};
  struct sigaction before, during = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigemptyset(&during.sa_mask);
  set = ruleset, answered = refused = 0;
  bool done = sigaction(SIGURG, &during, &before) == 0 && remember(&t, (pid_t)syscall(SYS_gettid));
  *number = done && access("/proc/self/task", F_OK) != 0 ? errno : 0;
  // One that was asked may have been made by one that was not; those that come later are made by threads that were.
  for (int found = 1; done && *number == 0 && found > 0;) done = (found = ask_new(&t)) >= 0;
  free(t.list);
  sigaction(SIGURG, &before, NULL);
  return (done && refused == 0 && restrict_this()) || lmmc_fail(e, 1, "files cannot be put out of reach of every thread (Landlock)");
}

bool lmmc_file_access_restrict(const lmmc_file_rules *rules, int *number, lmmc_error *e) {
  const int abi = version();
  const int ruleset = abi >= 1 ? create(abi) : -1;
  *number = ruleset >= 0 ? 0 : errno;
  const bool opens =
      let_folder(ruleset, rules->reads, "of '--media-path'", READ_FILE | READ_DIR, e) &&
      let_folder(ruleset, rules->writes, "of '--cache-dir'", READ_FILE | READ_DIR | WRITE_FILE | MAKE_REG | REMOVE_FILE, e) &&
      let_folder(ruleset, rules->removes, "of the socket", REMOVE_FILE, e);
  // What is not there is not read.
  for (size_t i = 0; ruleset >= 0 && i < sizeof late / sizeof *late; i++) let(ruleset, late[i], 0, READ_FILE);
  const bool done = opens && (ruleset < 0 || restrict_all(ruleset, number, e));
  if (ruleset >= 0) close(ruleset);
  return done;
}
