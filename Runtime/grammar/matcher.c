#include "matcher.h"

#include <stdlib.h>
#include <string.h>

static bool pass_on(const lmmc_machine *m, lmmc_error *e) { return lmmc_fail(e, m->error.code, "%s", m->error.message); }

static bool push(lmmc_matcher *x, uint32_t configuration, lmmc_error *e) {
  if (x->count == x->room) {
    const size_t room = x->room ? 2 * x->room : 64;
    lmmc_matcher_step *grown = realloc(x->history, room * sizeof *grown);
    if (!grown) return lmmc_fail(e, 1, "out of memory for the tokens of an answer");
    x->history = grown;
    x->room = room;
  }
  x->history[x->count++] = (lmmc_matcher_step){configuration};
  return true;
}

static uint32_t now(const lmmc_matcher *x) { return x->history[x->count - 1].configuration; }

static void enlist(lmmc_matcher *x, lmmc_machine *machine) {
  *x = (lmmc_matcher){.machine = machine, .next = machine->matchers};
  if (x->next) x->next->before = x;
  machine->matchers = x;
}

bool lmmc_matcher_open(lmmc_matcher *x, lmmc_machine *machine, lmmc_error *e) {
  enlist(x, machine);
  if (!lmmc_machine_tidy(machine)) return pass_on(machine, e);
  const uint32_t start = lmmc_configuration_start(machine);
  return push(x, start, e) && (!machine->failed || pass_on(machine, e));
}

bool lmmc_matcher_copy(lmmc_matcher *x, const lmmc_matcher *from, lmmc_error *e) {
  enlist(x, from->machine);
  x->history = malloc(from->count * sizeof *x->history);
  if (!x->history) return lmmc_fail(e, 1, "out of memory for the tokens of an answer");
  memcpy(x->history, from->history, from->count * sizeof *x->history);
  x->count = x->room = from->count;
  return true;
}

void lmmc_matcher_close(lmmc_matcher *x) {
  if (x->machine && x->machine->matchers == x) x->machine->matchers = x->next;
  if (x->before) x->before->next = x->next;
  if (x->next) x->next->before = x->before;
  free(x->history);
  *x = (lmmc_matcher){0};
}

// Whether the next token loses a space that it begins with.
static bool drops_space(const lmmc_matcher *x) {
  return x->count == 1 && x->machine->vocabulary->header.flags & LMMC_VOCABULARY_DROPS_SPACE;
}

static void set(uint64_t *mask, int32_t id, bool on) {
  const uint64_t bit = UINT64_C(1) << id % 64;
  if (on)
    mask[id / 64] |= bit;
  else
    mask[id / 64] &= ~bit;
}

// The first token: what begins with a space is allowed by what stands behind it.
static void first_mask(lmmc_machine *m, uint32_t configuration, uint64_t *mask) {
  const lmmc_vocabulary *v = m->vocabulary;
  for (uint32_t node = 0; node < v->header.nodes; node = v->node[node].end) {
    if (v->node[node].byte != ' ') {
      lmmc_walk_configuration(m, configuration, node, v->node[node].end, mask);
      continue;
    }
    for (uint32_t t = v->node[node].token; t < v->node[node + 1].token; t++) set(mask, v->id[t], true);
    lmmc_walk_configuration(m, configuration, node + 1, v->node[node].end, mask);
  }
  const int32_t kept = v->header.kept_space;
  if (kept >= 0 && (uint32_t)kept < v->header.rows)
    set(mask, kept, lmmc_configuration_step(m, configuration, m->grammar->class_of[' ']) != LMMC_DEAD_STATE);
}

bool lmmc_matcher_mask(lmmc_matcher *x, uint64_t *mask, lmmc_error *e) {
  lmmc_machine *m = x->machine;
  if (!lmmc_machine_tidy(m)) return pass_on(m, e);
  memset(mask, 0, lmmc_mask_words(m->vocabulary) * sizeof *mask);
  const uint32_t configuration = now(x);
  if (drops_space(x)) {
    first_mask(m, configuration, mask);
  } else {
    // The places are looked up each time, since walking makes more of them.
    for (uint32_t i = 0; i < m->configurations[configuration].count && !m->failed; i++)
      lmmc_walk_place(m, m->places[m->configurations[configuration].first + i], mask);
  }
  const bool ends = m->configurations[configuration].ends;
  for (size_t i = 0; i < m->ends.count; i++)
    if (m->ends.ids[i] >= 0 && (uint32_t)m->ends.ids[i] < m->vocabulary->header.rows) set(mask, m->ends.ids[i], ends);
  return !m->failed || pass_on(m, e);
}

static uint32_t advance(lmmc_machine *m, uint32_t configuration, const uint8_t *bytes, size_t count) {
  for (size_t i = 0; i < count && configuration != LMMC_DEAD_STATE; i++)
    configuration = lmmc_configuration_step(m, configuration, m->grammar->class_of[bytes[i]]);
  return configuration;
}

// The same from one place on, in the ways that a mask looks at: bytes that stay in the place's frame, then those behind a crossing.
static uint32_t advance_from(lmmc_machine *m, lmmc_place place, const uint8_t *bytes, size_t count) {
  const bool run = lmmc_frame_is_run(m, m->locals[place.local].frame);
  const lmmc_frame *frame = &m->grammar->frames[m->locals[place.local].frame];
  lmmc_stack stack = m->stacks[place.stack];
  uint32_t local = place.local;
  for (size_t i = 0; i < count; i++) {
    const uint32_t to = lmmc_local_step(m, local, m->grammar->class_of[bytes[i]]);
    if (to == LMMC_DEAD_STATE) break;
    const bool whole = run && m->locals[to].final;
    if (run && frame->most != LMMC_UNLIMITED && stack.rounds >= frame->most) break;
    const uint32_t here = run ? lmmc_stack_intern(m, stack) : place.stack;
    if (i + 1 == count) return lmmc_configuration_at(m, (lmmc_place){to, here});
    if (whole && (frame->most != LMMC_UNLIMITED || stack.rounds < frame->least)) stack.rounds++;
    uint32_t next = LMMC_DEAD_STATE;
    if (!run) next = lmmc_configuration_after(m, (lmmc_place){to, place.stack});
    if (whole && stack.rounds >= frame->least) next = lmmc_configuration_behind(m, place.stack);
    if (next != LMMC_DEAD_STATE) next = advance(m, next, bytes + i + 1, count - i - 1);
    if (next != LMMC_DEAD_STATE) return next;
    local = whole ? lmmc_local_start(m, m->locals[to].frame) : to;
  }
  return LMMC_DEAD_STATE;
}

// Where more stacks than are followed at once were met, the one way that a mask found may have been left out.
static uint32_t advance_narrowly(lmmc_machine *m, uint32_t configuration, const uint8_t *bytes, size_t count) {
  uint32_t to = LMMC_DEAD_STATE;
  for (uint32_t i = 0; i < m->configurations[configuration].count && to == LMMC_DEAD_STATE && !m->failed; i++)
    to = advance_from(m, m->places[m->configurations[configuration].first + i], bytes, count);
  return to;
}

bool lmmc_matcher_take(lmmc_matcher *x, int32_t token, lmmc_error *e) {
  lmmc_machine *m = x->machine;
  uint8_t bytes[LMMC_LONGEST_TOKEN];
  if (!lmmc_machine_tidy(m)) return pass_on(m, e);
  const uint32_t count = lmmc_vocabulary_text(m->vocabulary, token, bytes);
  const uint32_t dropped = count && bytes[0] == ' ' && drops_space(x) && token != m->vocabulary->header.kept_space;
  uint32_t configuration = count ? advance(m, now(x), bytes + dropped, count - dropped) : LMMC_DEAD_STATE;
  if (count && configuration == LMMC_DEAD_STATE && m->lossy && !drops_space(x)) configuration = advance_narrowly(m, now(x), bytes, count);
  for (size_t i = 0; i < m->ends.count; i++)
    if (m->ends.ids[i] == token) configuration = LMMC_DEAD_STATE;
  if (m->failed) return pass_on(m, e);
  if (configuration == LMMC_DEAD_STATE) return lmmc_fail(e, 2, "token %d is not allowed by the grammar", token);
  return push(x, configuration, e);
}

size_t lmmc_matcher_taken(const lmmc_matcher *x) { return x->count - 1; }

void lmmc_matcher_cut(lmmc_matcher *x, size_t tokens) { x->count -= tokens < x->count ? tokens : x->count - 1; }

bool lmmc_matcher_may_end(const lmmc_matcher *x) { return x->machine->configurations[now(x)].ends; }

bool lmmc_matcher_is_over(const lmmc_matcher *x) {
  const lmmc_configuration *c = &x->machine->configurations[now(x)];
  const uint64_t *accepts = c->accepts.words;
  return c->ends && (accepts[0] | accepts[1] | accepts[2] | accepts[3]) == 0;
}

size_t lmmc_matcher_forced(lmmc_matcher *x, uint8_t *out, size_t room) {
  lmmc_machine *m = x->machine;
  uint32_t configuration = now(x);
  for (size_t count = 0; count < room; count++) {
    const lmmc_configuration *c = &m->configurations[configuration];
    int single = -1;
    for (int i = 0; i < 4; i++) {
      const uint64_t word = c->accepts.words[i];
      if (!word) continue;
      if (single >= 0 || word & (word - 1)) return count;
      single = 64 * i + __builtin_ctzll(word);
    }
    if (single < 0 || c->ends) return count;
    configuration = lmmc_configuration_step(m, configuration, m->grammar->class_of[single]);
    if (configuration == LMMC_DEAD_STATE) return count;
    out[count] = (uint8_t)single;
  }
  return room;
}

bool lmmc_matcher_allows(lmmc_matcher *x, const uint8_t *bytes, size_t count) {
  return advance(x->machine, now(x), bytes, count) != LMMC_DEAD_STATE && !x->machine->failed;
}

int32_t lmmc_mask_single(const uint64_t *mask, size_t words) {
  int32_t single = -1;
  for (size_t i = 0; i < words; i++) {
    if (!mask[i]) continue;
    if (single >= 0 || mask[i] & (mask[i] - 1)) return -1;
    single = (int32_t)(64 * i) + __builtin_ctzll(mask[i]);
  }
  return single;
}
