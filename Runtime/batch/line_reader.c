#include "line_reader.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

// Reads on; false at the end, and with `*e` filled on failure.
static bool fill(lmmc_line_reader *r, lmmc_error *e) {
  char buffer[65536];
  if (r->at > 0 && r->at < r->held.count) memmove(r->held.bytes, r->held.bytes + r->at, r->held.count - r->at);
  r->held.count -= r->at;
  r->at = 0;
  struct pollfd waits[] = {{.fd = r->fd, .events = POLLIN}, {.fd = r->stop, .events = POLLIN}};
  ssize_t n;
  do n = poll(waits, 2, -1);
  while (n < 0 && errno == EINTR);
  if (waits[1].revents) {
    r->held.count = 0;
    r->ended = true;
    return false;
  }
  do n = read(r->fd, buffer, sizeof buffer);
  while (n < 0 && errno == EINTR);
  if (n < 0) return lmmc_fail(e, 1, "%s cannot be read: %s", r->name, lmmc_reason(errno).text);
  r->ended = n == 0;
  return n > 0 && lmmc_text_append(&r->held, buffer, (size_t)n, e);
}

lmmc_line_result lmmc_line_next(lmmc_line_reader *r, const char **line, size_t *bytes, lmmc_error *e) {
  bool is_too_long = false;
  e->code = 0;
  for (size_t searched = 0;;) {
    const char *first = r->held.count > r->at ? r->held.bytes + r->at : "";
    const size_t left = r->held.count - r->at;
    const char *end = left > searched ? memchr(first + searched, '\n', left - searched) : NULL;
    if (!end && !r->ended) {
      searched = left;
      if (left > LMMC_MOST_LINE_BYTES) {
        // Its bytes are passed over as they come.
        is_too_long = true;
        r->at = r->held.count;
        searched = 0;
      }
      if (!fill(r, e) && e->code) return LMMC_LINE_FAILED;
      continue;
    }
    if (!end && left == 0 && !is_too_long) return LMMC_NO_LINE;
    *bytes = end ? (size_t)(end - first) : left;
    *line = first;
    r->at += *bytes + (end != NULL);
    r->number++;
    // Some editors begin a file with a mark of its byte order.
    if (r->number == 1 && *bytes >= 3 && memcmp(first, "\xEF\xBB\xBF", 3) == 0) *line += 3, *bytes -= 3, first += 3;
    if (*bytes > 0 && first[*bytes - 1] == '\r') --*bytes;
    return is_too_long ? LMMC_LINE_TOO_LONG : LMMC_LINE;
  }
}

void lmmc_line_reader_free(lmmc_line_reader *r) { lmmc_text_free(&r->held); }
