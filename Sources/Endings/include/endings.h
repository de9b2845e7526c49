// What must go when a signal ends the process, in tables that a signal handler can read: files, folders, running programs; and which
// mapped file a fault lies in.
#ifndef LMMC_ENDINGS_H
#define LMMC_ENDINGS_H
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

// Handles the signals that would end the process: SIGINT, SIGTERM, SIGHUP, a closed pipe and their like where nobody else does, faults and
// traps always. All that is registered goes, then the signal takes the way that it had before. SIGBUS in a mapped file prints that file's line and exits with code 1.
void lmmc_endings_install(void);
// Whether the process ignores the signal.
bool lmmc_endings_is_ignored(int number);
// A stack for the handler, so that a thread that has overflowed its own is cleaned up after too. Once a thread.
void lmmc_endings_thread(void);

// Each registers a copy; its place, or -1 when the table is full: what is not registered is left behind.
int lmmc_endings_add_file(const char *path);
int lmmc_endings_add_folder(const char *path);
int lmmc_endings_add_group(pid_t group);
// `line` is what a fault among the `bytes` at `base` prints, with its newline.
int lmmc_endings_add_mapping(const void *base, size_t bytes, const char *line);
// Nothing happens for -1.
void lmmc_endings_drop_path(int place);
// Does not return while the process ends: the group has ended by that, which is no failure to tell.
void lmmc_endings_drop_group(pid_t group);
void lmmc_endings_drop_mapping(int place);

// Kills the programs and removes the files and folders that are registered, for a process that now ends.
void lmmc_endings_clean(void);

#endif
