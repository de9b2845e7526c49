#include "perplexity.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/parallel.h"
#include "base/text.h"
#include "session/steps.h"
#include "system/threads.h"

enum { MOST_BYTES = 1 << 28 };  // of a text; its tokens take twenty times as much

static bool read_file(const char *path, lmmc_text *text, lmmc_error *e) {
  char what[PATH_MAX + 16];
  snprintf(what, sizeof what, "text '%s'", path);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return lmmc_fail(e, 1, "%s cannot be read: %s", what, lmmc_reason(errno).text);
  struct stat s;
  const bool is_long = fstat(fd, &s) == 0 && s.st_size > MOST_BYTES;
  const lmmc_read_result r = is_long ? LMMC_TOO_LONG : lmmc_read_all(fd, MOST_BYTES, text, what, e);
  close(fd);
  if (r == LMMC_TOO_LONG) lmmc_fail(e, 1, "%s is longer than %d bytes", what, MOST_BYTES);
  return r == LMMC_READ;
}

// -log softmax(logits)[id]; not finite when a logit is not.
static double surprise(const float *logits, int32_t vocabulary, int32_t id) {
  float most = -INFINITY;
  for (int32_t i = 0; i < vocabulary; i++)
    if (!(logits[i] <= most)) most = logits[i];
  double sum = 0;
  for (int32_t i = 0; i < vocabulary; i++) sum += exp((double)logits[i] - most);
  return log(sum) - ((double)logits[id] - most);
}

typedef struct {
  lmmc_session session;
  int32_t slot;
  double *rows;         // of one step: [wanted_rows]
  double sum, squares;  // of the surprises
  int64_t count;
} scorer;

static bool score_window(scorer *s, const int32_t *tokens, int64_t window, lmmc_error *e) {
  const lmmc_model *m = s->session.model;
  const int64_t half = window / 2, most = m->wanted_rows < m->chunk ? m->wanted_rows : m->chunk;
  lmmc_slot_clear(&s->session.slots, s->slot);
  lmmc_step(&s->session, &(lmmc_feed){s->slot, tokens, half, LMMC_WANTS_NONE}, 1, "score");
  // The last token is only foretold.
  for (int64_t at = half, count; at < window - 1; at += count) {
    count = window - 1 - at < most ? window - 1 - at : most;
    lmmc_step(&s->session, &(lmmc_feed){s->slot, tokens + at, count, LMMC_WANTS_ALL}, 1, "score");
#pragma omp parallel for
    for (int64_t i = 0; i < count; i++) s->rows[i] = surprise(lmmc_logits(&s->session, i), m->vocabulary, tokens[at + i + 1]);
    for (int64_t i = 0; i < count; i++) {
      if (!isfinite(s->rows[i])) return lmmc_fail(e, 1, "the logits are not numbers, so there is no perplexity");
      s->sum += s->rows[i];
      s->squares += s->rows[i] * s->rows[i];
    }
    s->count += count;
  }
  return true;
}

static bool report(const scorer *s, int64_t windows, int64_t window, double load, double seconds, bool json, lmmc_error *e) {
  double mean = s->sum / (double)s->count, spread = s->squares / (double)s->count - mean * mean, perplexity = exp(mean);
  // The standard error of the mean, were the tokens independent; times the perplexity it is that of the perplexity, to first order.
  double error = s->count > 1 && spread > 0 ? sqrt(spread / (double)(s->count - 1)) : 0;
  lmmc_text out = {0};
  bool done =
      json ? lmmc_text_format(&out, e,
                              "{\"perplexity\": %.9g, \"standard_error\": %.4g, \"nll\": %.12g, \"tokens\": %" PRId64
                              ", \"windows\": %" PRId64 ", \"window\": %" PRId64
                              ", \"timings\": {\"load\": %.3f, \"score\": %.3f}, \"tokens_per_second\": %.3f}\n",
                              perplexity, error * perplexity, mean, s->count, windows, window, load * 1e3, seconds * 1e3,
                              (double)(windows * (window - 1)) / seconds)
           : lmmc_text_format(&out, e, "perplexity %.6g +- %.2g of %" PRId64 " tokens in %" PRId64 " windows of %" PRId64 ", %.1f s\n",
                              perplexity, error * perplexity, s->count, windows, window, seconds);
  done = done && lmmc_write(STDOUT_FILENO, out.bytes, out.count, "standard output", e) != LMMC_WRITE_FAILED;
  lmmc_text_free(&out);
  return done;
}

bool lmmc_perplexity(const lmmc_model *model, const lmmc_memory *memory, const lmmc_tokenizer *tokenizer, const lmmc_options *options,
                     lmmc_error *e) {
  const int64_t window = options->window;
  lmmc_text text = {0};
  lmmc_ids ids = {0};
  scorer s = {0};
  double ready = lmmc_clock();
  bool done =
      (window <= model->context ||
       lmmc_fail(e, 2, "option '--window' wants at most the context of this program, %" PRId32 ", not %" PRId64, model->context, window)) &&
      read_file(options->perplexity, &text, e) && (!model->adds_bos || lmmc_ids_append(&ids, model->bos, e)) &&
      lmmc_tokenize(tokenizer, text.bytes, text.count, &ids, e);
  int64_t windows = (int64_t)ids.count / window;
  if (done && windows == 0)
    done = lmmc_fail(e, 1, "text '%s' has %zu tokens, and a window takes %" PRId64, options->perplexity, ids.count, window);
  if (done && !(s.rows = malloc((size_t)model->wanted_rows * sizeof *s.rows))) done = lmmc_fail(e, 1, "out of memory for a window");
  done = done && lmmc_session_open(&s.session, model, memory, e);
  if (done) s.slot = lmmc_slot_take(&s.session.slots);
  double begin = lmmc_clock();
  for (int64_t i = 0; done && i < windows; i++) {
    int32_t *tokens = ids.values + i * window;
    if (model->adds_bos) tokens[0] = model->bos;
    done = score_window(&s, tokens, window, e);
  }
  done = done && report(&s, windows, window, ready - lmmc_clock_start(), lmmc_clock() - begin, options->json, e);
  lmmc_session_close(&s.session);
  free(s.rows);
  lmmc_text_free(&text);
  lmmc_ids_free(&ids);
  return done;
}
