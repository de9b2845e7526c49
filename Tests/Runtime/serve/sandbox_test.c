// What a process can do in the sandbox and what it cannot: each attempt is made by a process of its own, by a thread that was there before,
// by one that came later, and by the first. Whether the kernel has the parts of the sandbox is asked of the kernel, not of the sandbox.
#define _GNU_SOURCE
#include "serve/sandbox/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../check.h"

static bool has_filter, has_landlock;
static char root[] = "/tmp/lmmc-sandbox-XXXXXX";
static int listener;
static struct sockaddr_in address;

static void path_of(char path[PATH_MAX], const char *name) { snprintf(path, PATH_MAX, "%s/%s", root, name); }

// ---- attempts: 0 when it went, else the errno

static int result(long value) { return value < 0 ? errno : 0; }

static int try_exec(void) { return result(execl("/bin/sh", "sh", "-c", ":", (char *)NULL)); }
static int try_fork(void) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  return result(child);
}
static int try_system(void) { return system(":") == 0 ? 0 : ECHILD; }
static int try_ptrace(void) { return result(ptrace(PTRACE_TRACEME, 0, NULL, NULL)); }
static int try_peek(void) {
  static char from, to;
  return result(process_vm_readv(getppid(), &(struct iovec){&to, 1}, 1, &(struct iovec){&from, 1}, 1, 0));
}
static int try_socket(void) { return result(socket(AF_INET, SOCK_STREAM, 0)); }
static int try_socket_unix(void) { return result(socket(AF_UNIX, SOCK_STREAM, 0)); }
static int try_connect(void) { return result(connect(listener, (struct sockaddr *)&address, sizeof address)); }
static int try_bind(void) { return result(bind(listener, (struct sockaddr *)&address, sizeof address)); }
static int try_code(void) {
  return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno : 0;
}
static int try_code_late(void) {
  void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return page == MAP_FAILED ? 0 : result(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}
static int try_signal(void) { return result(kill(getppid(), 0)); }
static int try_signal_all(void) { return result(kill(0, 0)); }
static int try_user(void) { return result(setuid(getuid())); }
static int try_space(void) { return result(unshare(CLONE_FS)); }
static int try_limit(void) {
  struct rlimit most = {64, 64};
  return result(setrlimit(RLIMIT_NOFILE, &most));
}
static int try_dump(void) { return result(prctl(PR_SET_DUMPABLE, 1)); }
static int try_memory_file(void) { return result(memfd_create("x", 0)); }
static int try_ring(void) { return result(syscall(425, 1, NULL)); }  // io_uring_setup
static int try_owner(void) { return result(fcntl(listener, F_SETOWN, getppid())); }
static int try_type(void) { return result(ioctl(STDIN_FILENO, TIOCSTI, "x")); }
static int try_option(void) {
  const int one = 1;
  return result(setsockopt(listener, IPPROTO_IP, IP_TTL, &one, sizeof one));
}

#ifdef __x86_64__
// getpid as a program for 32 bits and as one for x32 asks.
static int try_int80(void) {
  int number = 20;
  __asm__ volatile("int $0x80" : "+a"(number) : : "memory");
  return number > 0 ? 0 : -number;
}
static int try_x32(void) { return result(syscall(0x40000000 | SYS_getpid)); }
#endif

static int open_with(const char *name, int flags) {
  char path[PATH_MAX];
  if (*name == '/')
    snprintf(path, sizeof path, "%s", name);
  else
    path_of(path, name);
  return result(open(path, flags, 0600));
}

static int read_secret(void) { return open_with("secret", O_RDONLY); }
static int read_passwd(void) { return open_with("/etc/passwd", O_RDONLY); }
static int read_environment(void) { return open_with("/proc/self/environ", O_RDONLY); }
static int list_root(void) { return open_with("/", O_RDONLY | O_DIRECTORY); }
static int read_status(void) { return open_with("/proc/self/status", O_RDONLY); }
static int read_cpus(void) { return open_with("/sys/devices/system/cpu/online", O_RDONLY); }
static int read_media(void) { return open_with("media/picture", O_RDONLY); }
static int read_below(const char *name) {
  char media[PATH_MAX];
  path_of(media, "media");
  const int folder = open(media, O_PATH | O_DIRECTORY);
  const struct open_how how = {.flags = O_RDONLY | O_CLOEXEC, .resolve = RESOLVE_BENEATH};
  return folder < 0 ? errno : result(syscall(SYS_openat2, folder, name, &how, sizeof how));
}
static int read_media_below(void) { return read_below("picture"); }
static int write_below(void) {
  char path[PATH_MAX];
  path_of(path, "new");
  const struct open_how how = {.flags = O_WRONLY | O_CREAT, .mode = 0600};
  return result(syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how));
}
static int read_through_link(void) { return open_with("media/link", O_RDONLY); }  // to the secret
static int write_media(void) { return open_with("media/picture", O_WRONLY); }
static int make_media(void) { return open_with("media/new", O_WRONLY | O_CREAT | O_EXCL); }
static int cut_media(void) { return open_with("media/picture", O_RDONLY | O_TRUNC); }
static int make_secret(void) { return open_with("new", O_WRONLY | O_CREAT | O_EXCL); }
static int write_memory(void) { return open_with("/proc/self/mem", O_RDWR); }
static int make_nameless(void) { return open_with("cache", O_TMPFILE | O_WRONLY); }
static int remove_media(void) {
  char path[PATH_MAX];
  path_of(path, "media/picture");
  return result(unlink(path));
}
static int make_link(void) {
  char from[PATH_MAX], to[PATH_MAX];
  path_of(from, "secret"), path_of(to, "cache/secret");
  return result(link(from, to));
}
static int make_symlink(void) {
  char to[PATH_MAX];
  path_of(to, "cache/link");
  return result(symlink("/etc/passwd", to));
}
static int make_folder(void) {
  char path[PATH_MAX];
  path_of(path, "cache/folder");
  return result(mkdir(path, 0700));
}

// A file as Runtime/base/unfinished.c writes one, read again and removed.
static int keep_file(void) {
  char path[PATH_MAX], temporary[PATH_MAX], byte;
  path_of(path, "cache/kept"), path_of(temporary, "cache/.kept.tmp");
  const int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0 || fchmod(fd, 0600) != 0 || write(fd, "x", 1) != 1 || close(fd) != 0 || rename(temporary, path) != 0) return errno;
  const int again = open(path, O_RDONLY | O_CLOEXEC);
  if (again < 0 || read(again, &byte, 1) != 1 || futimens(again, NULL) != 0 || close(again) != 0) return errno;
  return unlink(path) == 0 ? 0 : errno;
}

static int remove_socket(void) {
  char path[PATH_MAX];
  path_of(path, "run/socket");
  return result(unlink(path));
}

// ---- what must go on

static int by_value(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static int use_library(void) {
  const size_t count = 1 << 20;
  int *list = malloc(count * sizeof *list);
  if (!list) return ENOMEM;
  for (size_t i = 0; i < count; i++) list[i] = (int)(i * 7919 % 65537);
  qsort(list, count, sizeof *list, by_value);
  list = realloc(list, 8 * count * sizeof *list);
  free(list);
  cpu_set_t set;
  struct timespec now;
  struct tm local;
  struct rusage usage;
  const time_t then = 0;
  uint8_t bytes[16];
  isatty(STDERR_FILENO);
  return sched_getaffinity(0, sizeof set, &set) != 0 || sched_setaffinity(0, sizeof set, &set) != 0 ||
                 clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) != 0 || !localtime_r(&then, &local) || getrusage(RUSAGE_SELF, &usage) != 0 ||
                 syscall(SYS_getrandom, bytes, sizeof bytes, 0) != sizeof bytes || sysconf(_SC_NPROCESSORS_ONLN) < 1 ||
                 nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL) != 0
             ? errno ? errno : EINVAL
             : 0;
}

// A team that grows, shrinks, which ends some of its threads, and grows again.
static int use_team(void) {
  const int sizes[] = {2, 5, 3, 1, 4};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    int there = 0;
#pragma omp parallel num_threads(sizes[i]) reduction(+ : there)
    there++;
    if (there != sizes[i]) return EAGAIN;
  }
  return 0;
}

static int wait_for(int loop) {
  struct epoll_event event;
  return epoll_wait(loop, &event, 1, 5000) == 1 ? event.data.fd : -1;
}

// An event loop as a server's: woken by an eventfd, then a client that asks.
static int serve(void) {
  const int loop = epoll_create1(EPOLL_CLOEXEC), wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), one = 1;
  const uint64_t count = 1;
  uint64_t counted;
  char text[8] = "";
  if (loop < 0 || wake < 0) return errno;
  epoll_ctl(loop, EPOLL_CTL_ADD, wake, &(struct epoll_event){.events = EPOLLIN, .data.fd = wake});
  if (write(wake, &count, sizeof count) != sizeof count || wait_for(loop) != wake || read(wake, &counted, sizeof counted) < 0) return errno;
  epoll_ctl(loop, EPOLL_CTL_ADD, listener, &(struct epoll_event){.events = EPOLLIN, .data.fd = listener});
  if (wait_for(loop) != listener) return ETIMEDOUT;
  struct sockaddr_in peer;
  socklen_t length = sizeof peer;
  const int client = accept4(listener, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC);
  int waiting;
  if (client < 0 || setsockopt(client, IPPROTO_TCP, 1, &one, sizeof one) != 0 ||
      getpeername(client, (struct sockaddr *)&peer, &length) != 0)
    return errno;
  if (read(client, text, 3) != 3 || ioctl(client, FIONREAD, &waiting) != 0 || writev(client, &(struct iovec){text, 3}, 1) != 3)
    return errno;
  return shutdown(client, SHUT_WR) != 0 || close(client) != 0 ? errno : 0;
}

static int try_abort(void) {
  abort();
  return 0;
}

// ---- processes

typedef int attempt(void);
enum { FIRST, EARLIER, LATER, THREADS };
static const char *const thread_names[] = {"the first thread", "a thread from before", "a thread from after"};

typedef struct {
  attempt *what;
  pthread_mutex_t gate;
  int number;
} job;

static void *do_job(void *argument) {
  job *j = argument;
  pthread_mutex_lock(&j->gate);
  j->number = j->what();
  pthread_mutex_unlock(&j->gate);
  return NULL;
}

enum { NOT_ENTERED = 200, SUCCEEDED = 0 };

// In a process: enters, lets one of its threads try, and ends with the errno.
static _Noreturn void live(const lmmc_sandbox_rules *rules, attempt *what, int which) {
  job j = {.what = what, .gate = PTHREAD_MUTEX_INITIALIZER};
  pthread_t thread;
  char note[512];
  lmmc_error e = {0};
  int there = 0;
  pthread_mutex_lock(&j.gate);
#pragma omp parallel num_threads(3) reduction(+ : there)
  there++;
  if (which == EARLIER) pthread_create(&thread, NULL, do_job, &j);
  if (there != 3 || !lmmc_sandbox_enter(rules, note, sizeof note, &e)) _exit(NOT_ENTERED);
  if (which == LATER && pthread_create(&thread, NULL, do_job, &j) != 0) _exit(NOT_ENTERED);
  if (which == FIRST) _exit(what());
  pthread_mutex_unlock(&j.gate);
  pthread_join(thread, NULL);
  _exit(j.number);
}

static int attempted(const lmmc_sandbox_rules *rules, attempt *what, int which) {
  int status = 0;
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    if (setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}) != 0) _exit(NOT_ENTERED);
    live(rules, what, which);
  }
  waitpid(child, &status, 0);
  return status;
}

static void must_work(const char *name, attempt *what, const lmmc_sandbox_rules *rules) {
  for (int which = FIRST; which < THREADS; which++) {
    const int status = attempted(rules, what, which);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == SUCCEEDED, "%s, by %s: status 0x%x", name, thread_names[which], status);
  }
}

static void must_kill(const char *name, attempt *what, const lmmc_sandbox_rules *rules) {
  for (int which = FIRST; which < THREADS; which++) {
    const int status = attempted(rules, what, which);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "%s, by %s: status 0x%x", name, thread_names[which], status);
  }
}

static void must_fail(const char *name, attempt *what, const lmmc_sandbox_rules *rules) {
  for (int which = FIRST; which < THREADS; which++) {
    const int status = attempted(rules, what, which), number = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    CHECK(number == EPERM || number == EACCES, "%s, by %s: status 0x%x", name, thread_names[which], status);
  }
}

#define WORKS(what, rules) must_work(#what, what, rules)
#define KILLS(what, rules) must_kill(#what, what, rules)
#define FAILS(what, rules) must_fail(#what, what, rules)

// ---- the tests

static void calls(const lmmc_sandbox_rules *rules) {
  KILLS(try_exec, rules), KILLS(try_fork, rules), KILLS(try_system, rules), KILLS(try_ptrace, rules), KILLS(try_peek, rules);
  FAILS(try_socket, rules), FAILS(try_socket_unix, rules), FAILS(try_connect, rules), FAILS(try_bind, rules);
  FAILS(try_code, rules), FAILS(try_code_late, rules), FAILS(try_signal, rules), FAILS(try_signal_all, rules);
  FAILS(try_user, rules), FAILS(try_space, rules), FAILS(try_limit, rules), FAILS(try_dump, rules), FAILS(try_memory_file, rules);
  FAILS(try_ring, rules), FAILS(try_type, rules), FAILS(try_option, rules), FAILS(try_owner, rules);
#ifdef __x86_64__
  KILLS(try_x32, rules);
  // A kernel without programs for 32 bits has no such gate.
  const int status = attempted(rules, try_int80, FIRST);
  CHECK(WIFSIGNALED(status) && (WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGSEGV), "int 0x80: status 0x%x", status);
#endif
}

static void files(const lmmc_sandbox_rules *none, const lmmc_sandbox_rules *all) {
  attempt *const writes[] = {write_media, make_media,   cut_media,   make_secret, write_memory, remove_media,
                             make_link,   make_symlink, make_folder, keep_file,   make_nameless};
  for (size_t i = 0; has_filter && i < sizeof writes / sizeof *writes; i++) must_fail("a write without a cache", writes[i], none);
  if (has_filter || has_landlock)
    FAILS(read_secret, none), FAILS(read_passwd, none), FAILS(list_root, none), FAILS(read_media, none), FAILS(write_below, none);
  if (has_filter || has_landlock) FAILS(remove_socket, none);
  if (!has_landlock) return;
  FAILS(read_secret, all), FAILS(read_passwd, all), FAILS(read_environment, all), FAILS(list_root, all), FAILS(read_through_link, all);
  FAILS(write_media, all), FAILS(make_media, all), FAILS(cut_media, all), FAILS(make_secret, all), FAILS(write_memory, all);
  FAILS(remove_media, all), FAILS(make_link, all), FAILS(make_symlink, all), FAILS(make_folder, all), FAILS(write_below, all);
}

static void what_goes_on(const lmmc_sandbox_rules *none, const lmmc_sandbox_rules *all) {
  const lmmc_sandbox_rules *const rules[] = {none, all};
  for (int i = 0; i < 2; i++) WORKS(use_library, rules[i]), WORKS(use_team, rules[i]);
  WORKS(read_media, all), WORKS(keep_file, all);
  if (has_filter || has_landlock) WORKS(read_media_below, all);  // the emulator has no such call
  if (has_landlock) WORKS(read_status, none), WORKS(read_cpus, none);
  // Removed by the first of them; made again for each.
  for (int which = FIRST; which < THREADS; which++) {
    char path[PATH_MAX];
    path_of(path, "run/socket");
    close(open(path, O_WRONLY | O_CREAT, 0600));
    const int status = attempted(all, remove_socket, which);
    CHECK(status == 0, "the socket's name, by %s: status 0x%x", thread_names[which], status);
  }
  // An emulator speaks of it on its own.
  const int status = has_filter ? attempted(none, try_abort, FIRST) : SIGABRT;
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "abort: status 0x%x", status);
}

static void *ask(void *unused) {
  char text[4] = "";
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  (void)unused;
  const bool done = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 && write(fd, "abc", 3) == 3 && read(fd, text, 3) == 3;
  CHECK(done && strcmp(text, "abc") == 0, "the answer is '%s': %s", text, strerror(errno));
  close(fd);
  return NULL;
}

static void service(const lmmc_sandbox_rules *rules) {
  for (int which = FIRST; which < THREADS; which++) {
    fflush(stdout);
    const pid_t child = fork();
    int status = 0;
    if (child == 0) live(rules, serve, which);
    ask(NULL);
    waitpid(child, &status, 0);
    CHECK(status == 0, "the server, by %s: status 0x%x", thread_names[which], status);
  }
}

// What the kernel says of the threads of a process that has entered, and what the note says.
static void threads_and_note(const lmmc_sandbox_rules *rules) {
  int told[2], go[2];
  char note[512] = "", byte = 0;
  CHECK(pipe(told) == 0 && pipe(go) == 0, "no pipe");
  const pid_t child = fork();
  if (child == 0) {
    lmmc_error e = {0};
    int there = 0;
#pragma omp parallel num_threads(4) reduction(+ : there)
    there++;
    const bool done = there == 4 && lmmc_sandbox_enter(rules, note, sizeof note, &e) && write(told[1], note, sizeof note) == sizeof note;
    _exit(!done || read(go[0], &byte, 1) != 1);
  }
  close(told[1]);
  const bool told_it = read(told[0], note, sizeof note) == sizeof note;
  CHECK(told_it, "the process did not enter");
  CHECK((strstr(note, "seccomp") == NULL) == has_filter && (strstr(note, "Landlock") == NULL) == has_landlock, "the note is '%s'", note);
  CHECK(has_filter != has_landlock || (*note == 0) == has_filter, "the note is '%s'", note);
  char command[128], line[128] = "";
  snprintf(command, sizeof command, "cat /proc/%d/task/*/status | grep -c -E '^(NoNewPrivs:.1|Seccomp:.2)$'", (int)child);
  FILE *found = has_filter ? popen(command, "r") : NULL;
  if (found) {
    CHECK(fgets(line, sizeof line, found) && atoi(line) == 8, "4 threads have no new privileges and a filter: '%s' lines of 8", line);
    pclose(found);
  }
  int status = 0;
  CHECK(write(go[1], &byte, 1) == 1 && waitpid(child, &status, 0) == child && status == 0, "status 0x%x", status);
  close(told[0]), close(go[0]), close(go[1]);
}

static void refusals(void) {
  char note[512];
  lmmc_error e = {0};
  // Before anything is given up, so that this process can go on.
  CHECK(!lmmc_sandbox_enter(&(lmmc_sandbox_rules){.cache_dir = "/nowhere/lmmc"}, note, sizeof note, &e) && e.code == 1 &&
            strstr(e.message, "folder '/nowhere/lmmc' of '--cache-dir' cannot be opened: no such file"),
        "%s", e.message);
  CHECK(!lmmc_sandbox_enter(&(lmmc_sandbox_rules){.media_path = "/etc/passwd"}, note, sizeof note, &e) &&
            strstr(e.message, "folder '/etc/passwd' of '--media-path' cannot be opened: not a directory"),
        "%s", e.message);
}

static void make(const char *name, bool is_folder) {
  char path[PATH_MAX];
  path_of(path, name);
  if (is_folder)
    mkdir(path, 0700);
  else
    close(open(path, O_WRONLY | O_CREAT, 0600));
}

int main(void) {
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
  char note[512];
  lmmc_error e;
  CHECK(lmmc_sandbox_enter(&(lmmc_sandbox_rules){0}, note, sizeof note, &e) && strstr(note, "sanitizer"), "the note is '%s'", note);
  printf("not run: the sandbox under sanitizers, which it leaves alone\n");
  return check_report();
#endif
  const unsigned action = SECCOMP_RET_KILL_PROCESS;
  has_filter = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
  has_landlock = syscall(444, NULL, 0, 1) > 0;
  if (!has_filter || !has_landlock) printf("not run: %s%s\n", has_filter ? "" : "no seccomp here ", has_landlock ? "" : "no Landlock here");
  if (!mkdtemp(root)) return 2;
  char media[PATH_MAX], cache[PATH_MAX], run[PATH_MAX], link[PATH_MAX], command[PATH_MAX];
  make("media", true), make("cache", true), make("run", true), make("secret", false), make("media/picture", false),
      make("run/socket", false);
  path_of(media, "media"), path_of(cache, "cache"), path_of(run, "run/socket"), path_of(link, "media/link");
  CHECK(symlink("../secret", link) == 0, "no link");
  address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 16) == 0 &&
            getsockname(listener, (struct sockaddr *)&address, &length) == 0,
        "no listener: %s", strerror(errno));

  const lmmc_sandbox_rules none = {0}, all = {.media_path = media, .cache_dir = cache, .socket_path = run};
  refusals();
  threads_and_note(&none), threads_and_note(&all);
  if (has_filter) calls(&none), calls(&all);
  files(&none, &all);
  what_goes_on(&none, &all);
  service(&none), service(&all);
  snprintf(command, sizeof command, "rm -r %.64s", root);
  CHECK(system(command) == 0, "%s", command);
  return check_report();
}
