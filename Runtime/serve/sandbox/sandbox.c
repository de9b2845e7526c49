#define _GNU_SOURCE
#include "sandbox.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "call_filter.h"
#include "file_access.h"

// The sanitizers' runtimes start processes, trace, and open what they like.
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define HAS_SANITIZER 1
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define HAS_SANITIZER 1
#endif
#endif
#ifndef HAS_SANITIZER
#define HAS_SANITIZER 0
#endif

// Present in programs that link Jansson.
extern void json_object_seed(size_t) __attribute__((weak));

static void *end(void *unused) {
  (void)unused;
  pthread_exit(NULL);
}

// What libraries open files for when they are first asked, and then have.
static void warm(void) {
  tzset();
  // Else the seed may be the time, which a client knows as well.
  if (json_object_seed) json_object_seed(0);
  // In a dynamic program glibc loads the unwinder when a thread first ends so, as libgomp's do, and ends the process where it cannot.
  pthread_t thread;
  if (pthread_create(&thread, NULL, end, NULL) == 0) pthread_join(thread, NULL);
}

// The folder that a name stands in.
static bool folder_of(const char *path, char folder[PATH_MAX], lmmc_error *e) {
  const char *slash = strrchr(path, '/');
  const int n = slash == path ? snprintf(folder, PATH_MAX, "/")
                : slash       ? snprintf(folder, PATH_MAX, "%.*s", (int)(slash - path), path)
                              : snprintf(folder, PATH_MAX, ".");
  return (n > 0 && n < PATH_MAX) || lmmc_fail(e, 1, "the name of the socket '%s' is too long", path);
}

bool lmmc_sandbox_enter(const lmmc_sandbox_rules *rules, char *note, size_t size, lmmc_error *e) {
  char folder[PATH_MAX] = "";
  int no_access = 0, no_filter = 0;
  note[0] = 0;
  if (HAS_SANITIZER) return snprintf(note, size, "a program with a sanitizer has no sandbox"), true;
  if (rules->socket_path && !folder_of(rules->socket_path, folder, e)) return false;
  warm();
  const lmmc_file_rules files = {rules->media_path, rules->cache_dir, rules->socket_path ? folder : NULL};
  if (!lmmc_file_access_restrict(&files, &no_access, e)) return false;
  // Without Landlock a file that may be opened is any file, so that none is opened that nobody asked for.
  const lmmc_call_rules calls = {
      .reads_files = no_access == 0 || rules->media_path || rules->cache_dir,
      .writes_files = rules->cache_dir != NULL,
      .removes_files = rules->socket_path != NULL,
      .resolves = rules->media_path != NULL,
  };
  no_filter = lmmc_call_filter_enter(&calls);
  if (no_filter == EDEADLK) return lmmc_fail(e, 1, "system calls cannot be filtered of every thread (seccomp)");
  char filter[192] = "", access[192] = "";
  if (no_filter) snprintf(filter, sizeof filter, "system calls are not filtered (seccomp: %s)", lmmc_reason(no_filter).text);
  if (no_access) snprintf(access, sizeof access, "files are not out of reach of every thread (Landlock: %s)", lmmc_reason(no_access).text);
  snprintf(note, size, "%s%s%s", filter, no_filter && no_access ? ", " : "", access);
  return true;
}
