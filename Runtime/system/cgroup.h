// What the control groups of this process grant it, version 2 or 1. `root` stands before "/proc" and "/sys" ("" outside tests); files
// that are missing set no limit.
#ifndef LMMC_SYSTEM_CGROUP_H
#define LMMC_SYSTEM_CGROUP_H

#include <stdbool.h>
#include <stddef.h>

// The smallest CPU quota on the way from this process's group to the root; 0 for none.
double lmmc_cgroup_quota(const char *root);

// The least room for memory on that way, in bytes: the limit less what is in use and is no file's page cache, which makes
// room when asked to. Negative: no limit.
double lmmc_cgroup_memory(const char *root);

// Reads a small file as a string, cut to `size` - 1 bytes; false when it is absent. No stdio: this is read before anything else.
bool lmmc_read_small(const char *root, const char *path, char *text, size_t size);

#endif
