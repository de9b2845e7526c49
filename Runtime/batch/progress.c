#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "system/threads.h"

#define TERMINAL_SECONDS 0.5
#define LOG_SECONDS 60.0

// Lines from where the descriptor stands, if it is a regular file; the last one may have no end.
static int64_t count_lines(int fd) {
  struct stat s;
  char buffer[65536];
  off_t at = lseek(fd, 0, SEEK_CUR);
  if (at < 0 || fstat(fd, &s) != 0 || !S_ISREG(s.st_mode)) return 0;
  int64_t lines = 0;
  char last = '\n';
  for (ssize_t n; (n = pread(fd, buffer, sizeof buffer, at)) > 0; at += n) {
    for (const char *c = buffer; (c = memchr(c, '\n', (size_t)(buffer + n - c))); c++) lines++;
    last = buffer[n - 1];
  }
  return lines + (last != '\n');
}

void lmmc_progress_start(lmmc_progress *p, int fd) {
  *p = (lmmc_progress){.total = count_lines(fd), .began = lmmc_clock(), .is_terminal = isatty(STDERR_FILENO)};
  p->shown = p->began;
}

static void duration(char *text, size_t size, double seconds) {
  const int64_t s = (int64_t)(seconds + 0.5);
  if (s < 120)
    snprintf(text, size, "%" PRId64 " s", s);
  else if (s < 7200)
    snprintf(text, size, "%" PRId64 " min", s / 60);
  else
    snprintf(text, size, "%" PRId64 " h %" PRId64 " min", s / 3600, s / 60 % 60);
}

static void print(lmmc_progress *p, bool is_last) {
  const double seconds = lmmc_clock() - p->began, rate = seconds > 0 ? (double)p->done / seconds : 0;
  const int64_t lines = p->skipped + p->done;
  char total[32] = "", left[64] = "", refused[48] = "", time[48];
  if (p->total > 0) snprintf(total, sizeof total, " of %" PRId64, p->total);
  if (p->refused > 0) snprintf(refused, sizeof refused, ", %" PRId64 " refused", p->refused);
  duration(time, sizeof time, is_last || rate == 0 ? seconds : (double)(p->total - lines) / rate);
  if (is_last || (p->total > lines && rate > 0)) snprintf(left, sizeof left, is_last ? " in %s" : ", %s left", time);
  fprintf(stderr, "%s%" PRId64 "%s lines%s, %.3g/s%s%s", p->is_terminal ? "\r" : "", lines, total, refused, rate, left,
          p->is_terminal ? "\033[K" : "\n");
  if (p->is_terminal && is_last) fputc('\n', stderr);
  fflush(stderr);
}

void lmmc_progress_show(lmmc_progress *p) {
  const double now = lmmc_clock();
  if (now - p->shown < (p->is_terminal ? TERMINAL_SECONDS : LOG_SECONDS)) return;
  p->shown = now;
  print(p, false);
}

void lmmc_progress_end(lmmc_progress *p) { print(p, true); }
