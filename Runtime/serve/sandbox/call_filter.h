// The system calls that a server may still make, as a seccomp filter.
#ifndef LMMC_SERVE_SANDBOX_CALL_FILTER_H
#define LMMC_SERVE_SANDBOX_CALL_FILTER_H

#include <stdbool.h>

typedef struct {
  bool reads_files, writes_files, removes_files;  // whether files may be opened to read, and made, and names removed
  bool resolves;                                  // whether files may be opened by openat2, which stays below a folder
} lmmc_call_rules;

// Puts the filter over every thread of the process, none of which can gain privileges any more then. 0, or the errno of a kernel or an
// emulator that has no filters; EDEADLK: a thread has a filter that this one does not go with.
int lmmc_call_filter_enter(const lmmc_call_rules *rules);

#endif
