#include "structure.h"

#include <stdlib.h>
#include <string.h>

#include "grammar/choices.h"
#include "grammar/gbnf.h"

// So many structures that nobody has are kept, with so much memory; and so much may a machine find before it drops all.
enum { MOST_KEPT = 64, MOST_KEPT_BYTES = 64 << 20, MACHINE_BYTES = 32 << 20 };

struct lmmc_structure {
  lmmc_structure *next;
  lmmc_notation notation;
  char *text;
  size_t bytes;
  int users;
  uint64_t last_use;
  lmmc_grammar grammar;
  lmmc_machine machine;  // where `is_open`, from the first answer on
  bool is_open;
};

static uint32_t within(int64_t value, int64_t least, int64_t most) {
  return (uint32_t)(value < least ? least : value > most ? most : value);
}

lmmc_schema_limits lmmc_limits_of_schemas(int64_t context) {
  return (lmmc_schema_limits){
      .string_characters = within(context / 8, 16, 256), .items = within(context / 32, 4, 16), .members = within(context / 64, 2, 8)};
}

bool lmmc_structures_open(lmmc_structures *s, const lmmc_vocabulary *vocabulary, lmmc_end_tokens ends, int64_t context, lmmc_error *e) {
  *s = (lmmc_structures){.vocabulary = vocabulary,
                         .ends = ends,
                         .limits = lmmc_limits_of_schemas(context),
                         .mask = malloc((lmmc_mask_words(vocabulary) + 1) * sizeof *s->mask),
                         .lock = PTHREAD_MUTEX_INITIALIZER};
  return s->mask || lmmc_fail(e, 1, "out of memory for a set of tokens");
}

static void drop(lmmc_structure *x) {
  if (x->is_open) lmmc_machine_close(&x->machine);
  lmmc_grammar_close(&x->grammar);
  free(x->text);
  free(x);
}

void lmmc_structures_close(lmmc_structures *s) {
  for (lmmc_structure *x = s->first, *next; x; x = next) {
    next = x->next;
    drop(x);
  }
  free(s->mask);
  *s = (lmmc_structures){0};
}

static bool compile(lmmc_structure *x, const lmmc_schema_limits *limits, lmmc_error *e) {
  lmmc_rules rules;
  bool done = false;
  lmmc_rules_open(&rules);
  switch (x->notation) {
    case LMMC_NO_NOTATION: break;
    case LMMC_NOTATION_SCHEMA: done = lmmc_schema_read(&rules, x->text, x->bytes, limits, e); break;
    case LMMC_NOTATION_GBNF: done = lmmc_gbnf_read(&rules, x->text, x->bytes, e); break;
    case LMMC_NOTATION_REGEX: done = lmmc_regex_read(&rules, x->text, x->bytes, e); break;
    case LMMC_NOTATION_CHOICES: done = lmmc_choices_text_read(&rules, x->text, x->bytes, e); break;
  }
  done = done && lmmc_grammar_compile(&x->grammar, &rules, e);
  lmmc_rules_close(&rules);
  return done;
}

// ---- those that there are, under the lock

static lmmc_structure *find(lmmc_structures *s, lmmc_notation notation, const char *text, size_t bytes) {
  for (lmmc_structure *x = s->first; x; x = x->next) {
    if (x->notation != notation || x->bytes != bytes || memcmp(x->text, text, bytes) != 0) continue;
    x->users++;
    x->last_use = ++s->uses;
    return x;
  }
  return NULL;
}

static size_t bytes_of(const lmmc_structure *x) {
  const lmmc_grammar *g = &x->grammar;
  const size_t states = g->state_count;
  return x->bytes + sizeof *x + states * (3 * sizeof *g->byte_from + sizeof *g->owner + sizeof *g->useful) +
         g->byte_from[states] * sizeof *g->byte_edges + g->empty_from[states] * sizeof *g->empty_edges +
         g->call_from[states] * sizeof *g->call_edges + g->frame_count * sizeof *g->frames + (x->is_open ? x->machine.bytes : 0);
}

// Drops those that nobody has and that were used longest ago, until no more are left than are kept.
static void trim(lmmc_structures *s) {
  for (;;) {
    size_t count = 0, bytes = 0;
    lmmc_structure **oldest = NULL;
    for (lmmc_structure **at = &s->first; *at; at = &(*at)->next) {
      if ((*at)->users > 0) continue;
      count++;
      bytes += bytes_of(*at);
      if (!oldest || (*at)->last_use < (*oldest)->last_use) oldest = at;
    }
    if (count <= MOST_KEPT && bytes <= MOST_KEPT_BYTES) return;
    lmmc_structure *x = *oldest;
    *oldest = x->next;
    drop(x);
  }
}

lmmc_structure *lmmc_structure_take(lmmc_structures *s, lmmc_notation notation, const char *text, size_t bytes, lmmc_error *e) {
  pthread_mutex_lock(&s->lock);
  lmmc_structure *x = find(s, notation, text, bytes);
  pthread_mutex_unlock(&s->lock);
  if (x) return x;
  x = calloc(1, sizeof *x);
  if (!x || !(x->text = malloc(bytes + 1))) {
    free(x);
    lmmc_fail(e, 1, "out of memory for a grammar");
    return NULL;
  }
  memcpy(x->text, text, bytes);
  x->notation = notation;
  x->bytes = bytes;
  x->users = 1;
  if (!compile(x, &s->limits, e)) {
    drop(x);
    return NULL;
  }
  pthread_mutex_lock(&s->lock);
  lmmc_structure *twin = find(s, notation, text, bytes);  // of a thread that was as far
  if (!twin) {
    x->last_use = ++s->uses;
    x->next = s->first;
    s->first = x;
  }
  pthread_mutex_unlock(&s->lock);
  if (!twin) return x;
  drop(x);
  return twin;
}

void lmmc_structure_release(lmmc_structures *s, lmmc_structure *x) {
  if (!x) return;
  pthread_mutex_lock(&s->lock);
  if (--x->users == 0) trim(s);
  pthread_mutex_unlock(&s->lock);
}

// ---- answers

bool lmmc_structured_open(lmmc_structured *a, lmmc_structures *s, lmmc_structure *x, lmmc_error *e) {
  a->all = s;
  // What failed for want of memory begins anew.
  if (x->is_open && x->machine.failed && !x->machine.matchers) {
    lmmc_machine_close(&x->machine);
    x->is_open = false;
  }
  if (!x->is_open && !lmmc_machine_open(&x->machine, &x->grammar, s->vocabulary, s->ends, MACHINE_BYTES, e)) {
    lmmc_machine_close(&x->machine);
    return false;
  }
  x->is_open = true;
  return lmmc_matcher_open(&a->matcher, &x->machine, e);
}

void lmmc_structured_close(lmmc_structured *a) {
  lmmc_matcher_close(&a->matcher);
  a->all = NULL;
}

static const uint64_t *allowed(void *context, int32_t *only, lmmc_error *e) {
  lmmc_structured *a = context;
  uint64_t *mask = a->all->mask;
  if (!lmmc_matcher_mask(&a->matcher, mask, e)) return NULL;
  *only = lmmc_mask_single(mask, lmmc_mask_words(a->all->vocabulary));
  return mask;
}

static bool take(void *context, int32_t token, lmmc_error *e) {
  return lmmc_matcher_take(&((lmmc_structured *)context)->matcher, token, e);
}

static bool is_over(void *context) { return lmmc_matcher_is_over(&((lmmc_structured *)context)->matcher); }

// What cannot be looked up, for want of memory, is chosen when its turn comes, and fails there.
static int32_t forced(void *context, int32_t most, int32_t *out) {
  lmmc_structured *a = context;
  lmmc_error ignored;
  int32_t count = 0, only = -1;
  uint8_t byte;
  // Without a byte that is the only one there is no such token, and a whole mask takes longer.
  if (lmmc_matcher_forced(&a->matcher, &byte, 1) == 0) return 0;
  while (count < most && allowed(a, &only, &ignored) && only >= 0 && lmmc_matcher_take(&a->matcher, only, &ignored)) out[count++] = only;
  lmmc_matcher_cut(&a->matcher, (size_t)count);
  return count;
}

lmmc_constraint lmmc_structured_constraint(lmmc_structured *a) { return (lmmc_constraint){a, allowed, take, forced, is_over}; }
