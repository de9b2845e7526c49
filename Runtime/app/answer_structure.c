#include "answer_structure.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "grammar/expression.h"

// A file may have what a grammar may consist of, and is no endless input.
enum { MOST_BYTES = LMMC_MOST_GRAMMAR_BYTES };

static bool read_file(const lmmc_options *o, lmmc_text *text, lmmc_error *e) {
  const bool is_standard = strcmp(o->structure, "-") == 0;
  char what[PATH_MAX + 64];
  snprintf(what, sizeof what, is_standard ? "option '%s': standard input" : "option '%s': '%s'", lmmc_structure_option(o), o->structure);
  const int fd = is_standard ? STDIN_FILENO : open(o->structure, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return lmmc_fail(e, 1, "%s cannot be read: %s", what, lmmc_reason(errno).text);
  const lmmc_read_result r = lmmc_read_all(fd, MOST_BYTES, text, what, e);
  if (!is_standard) close(fd);
  if (r == LMMC_TOO_LONG) lmmc_fail(e, 1, "%s is longer than %d bytes", what, MOST_BYTES);
  return r == LMMC_READ;
}

static bool take_asked(lmmc_answer_structures *s, const lmmc_options *o, lmmc_error *e) {
  lmmc_text text = {0};
  lmmc_error why = {0};
  bool done = lmmc_structure_is_text(o) ? lmmc_text_append(&text, o->structure, strlen(o->structure), e) : read_file(o, &text, e);
  if (done) {
    s->structure = lmmc_structure_take(&s->all, o->notation, text.bytes ? text.bytes : "", text.count, &why);
    done = s->structure || lmmc_fail(e, why.code, "option '%s': %s", lmmc_structure_option(o), why.message);
  }
  lmmc_text_free(&text);
  return done;
}

bool lmmc_answer_structures_open(lmmc_answer_structures *s, const lmmc_model *model, const uint8_t *attached, const lmmc_options *options,
                                 lmmc_error *e) {
  const uint64_t offset = model->token_tree_offset, bytes = model->token_tree_bytes;
  if (offset > model->attachment_bytes || bytes > model->attachment_bytes - offset)
    return lmmc_fail(e, 1, "the tree of tokens does not lie within the %" PRIu64 " attached bytes", model->attachment_bytes);
  if (!lmmc_vocabulary_open(&s->vocabulary, attached + offset, bytes, e)) return false;
  if (s->vocabulary.header.rows != (uint32_t)model->vocabulary)
    return lmmc_fail(e, 1, "the tree of tokens has %" PRIu32 " rows, and the model's vocabulary %" PRId32, s->vocabulary.header.rows,
                     model->vocabulary);
  s->is_open = true;
  return lmmc_structures_open(&s->all, &s->vocabulary, (lmmc_end_tokens){model->eos, (size_t)model->eos_count}, model->context, e) &&
         (options->notation == LMMC_NO_NOTATION || take_asked(s, options, e));
}

bool lmmc_answer_restrict(lmmc_answer_structures *s, lmmc_structured *answer, lmmc_sampler *sampler, lmmc_constraint *constraint,
                          lmmc_error *e) {
  if (!s->structure) return true;
  *constraint = lmmc_structured_constraint(answer);
  return lmmc_sampler_restrict(sampler, e) && lmmc_structured_open(answer, &s->all, s->structure, e);
}

void lmmc_answer_structures_close(lmmc_answer_structures *s) {
  if (!s->is_open) return;
  lmmc_structure_release(&s->all, s->structure);
  lmmc_structures_close(&s->all);
  s->is_open = false;
}
