#define _GNU_SOURCE  // syscall numbers, CLONE_*
#include "call_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined __x86_64__
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#ifndef ARCHITECTURE
int lmmc_call_filter_enter(const lmmc_call_rules *rules) {
  (void)rules;
  return ENOSYS;
}
#else

// What else a kernel's headers may lack.
#ifndef SECCOMP_FILTER_FLAG_SPEC_ALLOW
#define SECCOMP_FILTER_FLAG_SPEC_ALLOW (1UL << 2)
#endif
#ifndef SECCOMP_RET_KILL_PROCESS
#define SECCOMP_RET_KILL_PROCESS 0x80000000U
#endif

// Allowed with whatever arguments. Calls of every request come first: kernels before 5.11 go through the list each time.
static const int allowed[] = {
    SYS_futex,
#ifdef SYS_epoll_wait
    SYS_epoll_wait,
#endif
    SYS_epoll_pwait,
#ifdef SYS_epoll_pwait2
    SYS_epoll_pwait2,
#endif
    SYS_epoll_ctl,
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_recvfrom,
    SYS_sendto,
    SYS_recvmsg,
    SYS_sendmsg,
    SYS_accept4,
    SYS_accept,
    SYS_close,
    SYS_shutdown,
    SYS_clock_gettime,
    SYS_madvise,
    SYS_munmap,
    SYS_mremap,
    SYS_brk,
    SYS_sched_yield,
    // What an event loop is made of.
    SYS_epoll_create1,
    SYS_eventfd2,
    SYS_pipe2,
    SYS_ppoll,
    SYS_pselect6,
    SYS_timerfd_create,
    SYS_timerfd_settime,
    SYS_getsockname,
    SYS_getpeername,
    SYS_getsockopt,
#ifdef SYS_poll
    SYS_poll,
    SYS_select,
#endif
    // Threads that come and go, and where they run.
    SYS_set_robust_list,
    SYS_sched_getaffinity,
    SYS_sched_setaffinity,
    SYS_exit,
    SYS_exit_group,
    SYS_gettid,
    SYS_getpid,
    SYS_getcpu,
    SYS_set_tid_address,
#ifdef SYS_rseq
    SYS_rseq,
#endif
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_rt_sigtimedwait,
    SYS_sigaltstack,
    SYS_restart_syscall,
    // Time, chance, and what the C library asks the machine: qsort for its memory, say.
    SYS_clock_getres,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_gettimeofday,
    SYS_getrandom,
    SYS_uname,
    SYS_sysinfo,
    SYS_getrusage,
    SYS_times,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    // What a descriptor is, or whether a name is there: what stands in a file is read by `openat`, which has rules.
    SYS_fstat,
    SYS_newfstatat,
    SYS_statx,
    SYS_lseek,
    SYS_pread64,
    SYS_getdents64,
    SYS_readlinkat,
    SYS_faccessat,
#ifdef SYS_stat
    SYS_stat,
    SYS_lstat,
    SYS_readlink,
    SYS_access,
#endif
};

static const int writes[] = {
    SYS_fchmod, SYS_utimensat, SYS_renameat, SYS_renameat2, SYS_fsync, SYS_fdatasync,
#ifdef SYS_rename
    SYS_rename,
#endif
};

static const int removes[] = {
    SYS_unlinkat,
#ifdef SYS_unlink
    SYS_unlink,
#endif
};

// Allowed where `argument & mask` is `value`; several rows of a call are alternatives.
typedef struct {
  int call, argument;
  uint64_t mask, value;
} condition;

#define THREAD (CLONE_VM | CLONE_THREAD | CLONE_SIGHAND)
#define WHOLE UINT64_MAX
#define INT UINT32_MAX  // the kernel takes no more of an argument that is an int

// What a thread of this process never asks for.
#define NEW_SPACES (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

static const condition conditions[] = {
    {SYS_mmap, 2, PROT_EXEC, 0},
    {SYS_mprotect, 2, PROT_EXEC, 0},
    {SYS_clone, 0, THREAD | NEW_SPACES | CLONE_VFORK | CLONE_PTRACE, THREAD},
    {SYS_ioctl, 1, INT, FIONREAD},
    {SYS_ioctl, 1, INT, FIONBIO},
    {SYS_ioctl, 1, INT, TCGETS},   // isatty
    {SYS_fcntl, 1, INT, F_GETFL},  // and not F_SETOWN, by which another process gets signals
    {SYS_fcntl, 1, INT, F_SETFL},
    {SYS_fcntl, 1, INT, F_GETFD},
    {SYS_fcntl, 1, INT, F_SETFD},
    {SYS_setsockopt, 1, INT, SOL_SOCKET},
    {SYS_setsockopt, 1, INT, IPPROTO_TCP},
    {SYS_prctl, 0, INT, PR_SET_NAME},
    {SYS_prlimit64, 2, WHOLE, 0},  // asked, not set
};

// No way of a server leads to these; who calls them is somebody else.
static const int deadly[] = {
    SYS_execve, SYS_execveat, SYS_clone, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev,
#ifdef SYS_fork
    SYS_fork,   SYS_vfork,
#endif
};

enum { MOST = 400 };

typedef struct {
  struct sock_filter code[MOST];
  unsigned short count;
} program;

static void add(program *p, uint16_t code, uint32_t operand, uint8_t when_true, uint8_t when_false) {
  // `MOST` is above what the tables come to; a program without its end would be refused by the kernel.
  if (p->count < MOST) p->code[p->count++] = (struct sock_filter){code, when_true, when_false, operand};
}

static void load(program *p, size_t offset) { add(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0); }
static void give(program *p, uint32_t action) { add(p, BPF_RET | BPF_K, action, 0, 0); }

static void on(program *p, int call, uint32_t action) {
  add(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1);
  give(p, action);
}

static void allow_where(program *p, condition c) {
  const size_t low = offsetof(struct seccomp_data, args) + (size_t)c.argument * sizeof(uint64_t);  // both architectures are little-endian
  const size_t high = low + sizeof(uint32_t);
  add(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)c.call, 0, 8);
  load(p, low);
  add(p, BPF_ALU | BPF_AND | BPF_K, (uint32_t)c.mask, 0, 0);
  add(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)c.value, 0, 4);
  load(p, high);
  add(p, BPF_ALU | BPF_AND | BPF_K, (uint32_t)(c.mask >> 32), 0, 0);
  add(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(c.value >> 32), 0, 1);
  give(p, SECCOMP_RET_ALLOW);
  load(p, offsetof(struct seccomp_data, nr));
}

static void allow(program *p, const int *calls, size_t count) {
  for (size_t i = 0; i < count; i++) on(p, calls[i], SECCOMP_RET_ALLOW);
}

// Files that are opened to be read are not made, cut or written by it.
static void allow_files(program *p, const lmmc_call_rules *rules) {
  if (rules->writes_files) {
    allow(p, (const int[]){SYS_openat}, 1);
    allow(p, writes, sizeof writes / sizeof *writes);
  } else if (rules->reads_files) {
    const int changes = O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY);
    allow_where(p, (condition){SYS_openat, 2, (uint64_t)changes, O_RDONLY});
  }
#ifdef SYS_openat2
  // What it does with a file stands in memory, where a filter cannot see it; Landlock does.
  if (rules->resolves) allow(p, (const int[]){SYS_openat2}, 1);
#endif
  if (rules->writes_files || rules->removes_files) allow(p, removes, sizeof removes / sizeof *removes);
}

static void assemble(program *p, const lmmc_call_rules *rules) {
  load(p, offsetof(struct seccomp_data, arch));
  add(p, BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
  give(p, SECCOMP_RET_KILL_PROCESS);
  load(p, offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
  // The same kernel under other numbers (x32).
  add(p, BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1);
  give(p, SECCOMP_RET_KILL_PROCESS);
#endif
  allow(p, allowed, sizeof allowed / sizeof *allowed);
  for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) allow_where(p, conditions[i]);
  // Signals to itself: `abort` and `raise`.
  const uint64_t self = (uint64_t)getpid();
  allow_where(p, (condition){SYS_tgkill, 0, INT, self});
  allow_where(p, (condition){SYS_kill, 0, INT, self});
  allow_files(p, rules);
#ifdef SYS_clone3
  // Its flags stand in memory, where a filter cannot see them; the C library takes `clone` where there is no such call.
  on(p, SYS_clone3, SECCOMP_RET_ERRNO | ENOSYS);
#endif
  for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) on(p, deadly[i], SECCOMP_RET_KILL_PROCESS);
  // An error and not an end for what is left: libraries ask for things that they can do without (`getnameinfo` opens a socket for a link's
  // name, an allocator a file of hints), and another C library's harmless call must not be a way to stop the server.
  give(p, SECCOMP_RET_ERRNO | EPERM);
}

int lmmc_call_filter_enter(const lmmc_call_rules *rules) {
  program p = {.count = 0};
  assemble(&p, rules);
  if (p.count == MOST) return E2BIG;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  struct sock_fprog whole = {p.count, p.code};
  // Kernels before 5.16 slow down what has a filter, against threads that spy on their own process; there are none here.
  long done = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW, &whole);
  if (done < 0 && errno == EINVAL) done = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &whole);
  return done == 0 ? 0 : done < 0 ? errno : EDEADLK;
}
#endif
