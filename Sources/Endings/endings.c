#define _GNU_SOURCE  // dirent64, O_DIRECTORY
#include "endings.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PATHS = 256, GROUPS = 1024, MAPPINGS = 4096, DEPTH = 16, STACK = 64 << 10 };

// A path's first byte is its kind. Texts are never freed, since the handler may be reading them.
static _Atomic(char *) paths[PATHS];
static atomic_int groups[GROUPS];
static struct {
  atomic_uintptr_t base;
  size_t bytes;
  char *line;
} mappings[MAPPINGS];

static atomic_bool begun;

static int add_path(char kind, const char *path) {
  size_t length = strlen(path) + 1;
  char *copy = malloc(length + 1);
  if (!copy) return -1;
  copy[0] = kind;
  memcpy(copy + 1, path, length);
  for (int i = 0; i < PATHS; i++) {
    char *none = NULL;
    if (atomic_compare_exchange_strong(&paths[i], &none, copy)) return i;
  }
  free(copy);
  return -1;
}

int lmmc_endings_add_file(const char *path) { return add_path('f', path); }
int lmmc_endings_add_folder(const char *path) { return add_path('d', path); }

int lmmc_endings_add_group(pid_t group) {
  for (int i = 0; i < GROUPS; i++) {
    int none = 0;
    if (atomic_compare_exchange_strong(&groups[i], &none, group)) return i;
  }
  return -1;
}

int lmmc_endings_add_mapping(const void *base, size_t bytes, const char *line) {
  char *copy = strdup(line);
  if (!copy) return -1;
  for (int i = 0; i < MAPPINGS; i++) {
    uintptr_t none = 0;
    // Taken by an address that no fault has, until the rest is there.
    if (!atomic_compare_exchange_strong(&mappings[i].base, &none, UINTPTR_MAX)) continue;
    mappings[i].bytes = bytes;
    mappings[i].line = copy;
    atomic_store(&mappings[i].base, (uintptr_t)base);
    return i;
  }
  free(copy);
  return -1;
}

void lmmc_endings_drop_path(int place) {
  if (place >= 0) atomic_store(&paths[place], NULL);
}

void lmmc_endings_drop_group(pid_t group) {
  while (atomic_load(&begun)) pause();
  for (int i = 0; i < GROUPS; i++) {
    int same = group;
    if (atomic_compare_exchange_strong(&groups[i], &same, 0)) return;
  }
}

void lmmc_endings_drop_mapping(int place) {
  if (place >= 0) atomic_store(&mappings[place].base, 0);
}

// ---- in the handler too: nothing here takes memory or a lock

static void empty_folder(int folder, int depth) {
  _Alignas(8) char entries[2048];
  long got;
  while ((got = syscall(SYS_getdents64, folder, entries, sizeof entries)) > 0) {
    for (long at = 0; at < got;) {
      const struct dirent64 *entry = (const struct dirent64 *)(entries + at);
      at += entry->d_reclen;
      const char *name = entry->d_name;
      if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || unlinkat(folder, name, 0) == 0) continue;
      int inner = depth < DEPTH ? openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
      if (inner < 0) continue;
      empty_folder(inner, depth + 1);
      close(inner);
      unlinkat(folder, name, AT_REMOVEDIR);
    }
  }
}

// A compiler that was just killed may create one last file meanwhile.
static void remove_folder(const char *path) {
  for (int i = 0; i < 50; i++) {
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) return;
    empty_folder(folder, 0);
    close(folder);
    if (rmdir(path) == 0 || errno == ENOENT) return;
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
  }
}

void lmmc_endings_clean(void) {
  for (int i = 0; i < GROUPS; i++) {
    int group = atomic_load(&groups[i]);
    if (group > 0) kill(-group, SIGKILL);
  }
  for (int i = 0; i < PATHS; i++) {
    const char *path = atomic_load(&paths[i]);
    if (path && path[0] == 'f') unlink(path + 1);
  }
  for (int i = 0; i < PATHS; i++) {
    const char *path = atomic_load(&paths[i]);
    if (path && path[0] == 'd') remove_folder(path + 1);
  }
}

// From FAULTS on those that the process itself causes: after them it ends whoever else handles them.
enum { FAULTS = 9, COUNT = 16 };
static const int signals[COUNT] = {SIGINT,  SIGTERM, SIGHUP,  SIGQUIT, SIGPIPE, SIGALRM, SIGXCPU, SIGUSR1,
                                   SIGUSR2, SIGILL,  SIGTRAP, SIGABRT, SIGBUS,  SIGFPE,  SIGSEGV, SIGSYS};
static struct sigaction before[COUNT];

static void ending(int number, siginfo_t *info, void *context) {
  (void)context;
  // Another thread may be ending the process.
  while (atomic_exchange(&begun, true)) pause();
  lmmc_endings_clean();
  // Faults of an address have positive codes; those that were sent have none.
  const uintptr_t address = number == SIGBUS && info->si_code > 0 ? (uintptr_t)info->si_addr : 0;
  for (int i = 0; address != 0 && i < MAPPINGS; i++) {
    uintptr_t base = atomic_load(&mappings[i].base);
    if (base == 0 || address < base || address - base >= mappings[i].bytes) continue;
    bool written = (!isatty(STDERR_FILENO) || write(STDERR_FILENO, "\r\033[K", 4) == 4) &&
                   write(STDERR_FILENO, mappings[i].line, strlen(mappings[i].line)) > 0;
    _exit(written ? 1 : 1);
  }
  // Whoever handled it before, the system or Swift's own report of a crash, has it now; it is blocked until this returns.
  for (int i = 0; i < COUNT; i++)
    if (signals[i] == number) sigaction(number, &before[i], NULL);
  raise(number);
}

bool lmmc_endings_is_ignored(int number) {
  struct sigaction now;
  return sigaction(number, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_IGN;
}

void lmmc_endings_install(void) {
  lmmc_endings_thread();
  static atomic_flag done = ATOMIC_FLAG_INIT;
  if (atomic_flag_test_and_set(&done)) return;
  struct sigaction new = {.sa_sigaction = ending, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigfillset(&new.sa_mask);
  for (int i = 0; i < COUNT; i++) {
    if (sigaction(signals[i], NULL, &before[i]) != 0) continue;
    bool is_default = !(before[i].sa_flags & SA_SIGINFO) && before[i].sa_handler == SIG_DFL;
    bool is_ignored = !(before[i].sa_flags & SA_SIGINFO) && before[i].sa_handler == SIG_IGN;
    if (is_default || (i >= FAULTS && !is_ignored)) sigaction(signals[i], &new, NULL);
  }
}

void lmmc_endings_thread(void) {
  static _Thread_local char stack[STACK];
  stack_t old, new = {.ss_sp = stack, .ss_size = sizeof stack};
  if (sigaltstack(NULL, &old) == 0 && (old.ss_flags & SS_DISABLE)) sigaltstack(&new, NULL);
}
