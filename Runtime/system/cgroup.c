#define _GNU_SOURCE  // strchrnul
#include "cgroup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool lmmc_read_small(const char *root, const char *path, char *text, size_t size) {
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

// A file of a group: MOUNT GROUP / NAME.
static bool read_group(const char *root, const char *mount, const char *group, const char *name, char *text, size_t size) {
  char path[PATH_MAX];
  int n = snprintf(path, sizeof path, "/sys/fs/cgroup%s%s/%s", mount, group, name);
  return n >= 0 && n < (int)sizeof path && lmmc_read_small(root, path, text, size);
}

// ---- what one group sets; negative: nothing

static double share(long long quota, long long period) { return quota > 0 && period > 0 ? (double)quota / (double)period : -1; }

static double quota_v2(const char *root, const char *group) {
  char text[64];
  long long quota, period;
  if (!read_group(root, "", group, "cpu.max", text, sizeof text)) return -1;
  return sscanf(text, "%lld %lld", &quota, &period) == 2 ? share(quota, period) : -1;  // "max 100000": no limit
}

static double quota_v1(const char *root, const char *group) {
  static const char *const mounts[] = {"/cpu", "/cpu,cpuacct"};
  char quota[64], period[64];
  for (size_t i = 0; i < 2; i++)
    if (read_group(root, mounts[i], group, "cpu.cfs_quota_us", quota, sizeof quota) &&
        read_group(root, mounts[i], group, "cpu.cfs_period_us", period, sizeof period))
      return share(atoll(quota), atoll(period));
  return -1;
}

// The number behind a word at the start of a line of `memory.stat`; 0 when it is absent.
static double line_of(const char *text, const char *word) {
  size_t length = strlen(word);
  for (const char *line = text; *line; line = *line ? line + 1 : line) {
    if (strncmp(line, word, length) == 0 && line[length] == ' ') return strtod(line + length, NULL);
    line = strchrnul(line, '\n');
  }
  return 0;
}

static double room(const char *root, const char *mount, const char *group, const char *limit, const char *usage, const char *active,
                   const char *inactive) {
  char most[64], used[64], stat[16384], *end;
  if (!read_group(root, mount, group, limit, most, sizeof most) || !read_group(root, mount, group, usage, used, sizeof used)) return -1;
  double bytes = strtod(most, &end);
  if (end == most || !(bytes >= 0 && bytes <= 0x1p60)) return -1;  // "max", and version 1's 2^63 rounded down to pages
  double files = 0;
  if (read_group(root, mount, group, "memory.stat", stat, sizeof stat)) files = line_of(stat, active) + line_of(stat, inactive);
  double held = strtod(used, NULL) - files;
  if (!(held > 0)) held = 0;
  return bytes > held ? bytes - held : 0;
}

static double room_v2(const char *root, const char *group) {
  return room(root, "", group, "memory.max", "memory.current", "active_file", "inactive_file");
}

static double room_v1(const char *root, const char *group) {
  return room(root, "/memory", group, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_active_file", "total_inactive_file");
}

// ---- the way to the root

typedef double of_group(const char *root, const char *group);

static double lesser(double a, double b) { return a < 0 || (b >= 0 && b < a) ? b : a; }

// The smallest value of a group and all groups above it. In a container the path may be the host's, which is not
// mounted here; the root of the mount is then the container's own group.
static double least_up(of_group *of, const char *root, char *group) {
  double least = -1;
  for (;;) {
    size_t length = strlen(group);
    while (length > 0 && group[length - 1] == '/') group[--length] = 0;
    least = lesser(least, of(root, group));
    char *slash = strrchr(group, '/');
    if (length == 0 || !slash) return least;
    *slash = 0;
  }
}

static bool names(const char *controllers, size_t length, const char *wanted) {
  for (const char *p = controllers, *end = p + length; p < end;) {
    const char *comma = memchr(p, ',', (size_t)(end - p)), *stop = comma ? comma : end;
    if ((size_t)(stop - p) == strlen(wanted) && memcmp(p, wanted, (size_t)(stop - p)) == 0) return true;
    p = stop + 1;
  }
  return false;
}

static double least_of(const char *root, const char *controller, of_group *of_v2, of_group *of_v1) {
  char text[16384], v2[PATH_MAX] = "", v1[PATH_MAX] = "";
  if (lmmc_read_small(root, "/proc/self/cgroup", text, sizeof text)) {
    for (char *line = text, *end; *line; line = end) {  // "ID:CONTROLLERS:PATH"; version 2 is ID 0 without controllers
      end = strchrnul(line, '\n');
      if (*end) *end++ = 0;
      char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
      if (!path || strlen(path + 1) >= PATH_MAX) continue;
      size_t length = (size_t)(path - controllers - 1);
      if (length == 0)
        strcpy(v2, path + 1);
      else if (names(controllers + 1, length, controller))
        strcpy(v1, path + 1);
    }
  }
  return lesser(least_up(of_v2, root, v2), least_up(of_v1, root, v1));
}

double lmmc_cgroup_quota(const char *root) {
  double quota = least_of(root, "cpu", quota_v2, quota_v1);
  return quota > 0 ? quota : 0;
}

double lmmc_cgroup_memory(const char *root) { return least_of(root, "memory", room_v2, room_v1); }
