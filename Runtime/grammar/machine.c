// What a machine holds, stacks, and configurations.
#include "machine.h"

#include <stdlib.h>
#include <string.h>

#include "matcher.h"

// Places that are looked at while a configuration is made; a grammar that needs more loses some of its texts, and stays right.
enum { MOST_PENDING = 4 * LMMC_MOST_STACKS, PENDING_SLOTS = 4 * MOST_PENDING, DEFAULT_LIMIT = 64 << 20, MOST_OVER_LIMIT = 256 << 20 };

struct lmmc_pending {
  lmmc_place places[MOST_PENDING];
  uint32_t slot_of[MOST_PENDING], count;
  bool ends;
  uint32_t slots[PENDING_SLOTS];  // places by their hash, 1 + their index
  lmmc_place kept[LMMC_MOST_STACKS];
};

static bool out_of_memory(lmmc_machine *m) {
  if (!m->failed) lmmc_fail(&m->error, 1, "out of memory for the states of a grammar");
  m->failed = true;
  return false;
}

// Counts bytes that are about to be taken. One step may go over the limit, but not without end.
static bool take(lmmc_machine *m, size_t bytes) {
  m->bytes += bytes;
  return !m->failed && (m->bytes <= m->limit || m->bytes - m->limit <= MOST_OVER_LIMIT || out_of_memory(m));
}

void *lmmc_machine_allocate(lmmc_machine *m, size_t count, size_t size) {
  if (!take(m, count * size)) return NULL;
  void *made = calloc(count, size);
  if (!made) out_of_memory(m);
  return made;
}

bool lmmc_machine_grow(lmmc_machine *m, void **array, uint32_t *room, uint32_t count, size_t more, size_t size) {
  if (m->failed) return false;
  if (*room - count >= more) return true;
  size_t wanted = *room ? *room : 64;
  while (wanted - count < more) wanted *= 2;
  if (wanted > UINT32_MAX / 2 || !take(m, (wanted - *room) * size)) return out_of_memory(m);
  void *grown = realloc(*array, wanted * size);
  if (!grown) return out_of_memory(m);
  *array = grown;
  *room = (uint32_t)wanted;
  return true;
}

void lmmc_table_free(lmmc_id_table *t) {
  free(t->ids);
  free(t->hashes);
  *t = (lmmc_id_table){0};
}

bool lmmc_table_add(lmmc_machine *m, lmmc_id_table *t, uint32_t hash, uint32_t id) {
  if (2 * (t->count + 1) > t->slots) {
    lmmc_id_table larger = {.slots = t->slots ? 2 * t->slots : 256, .count = t->count};
    larger.ids = lmmc_machine_allocate(m, larger.slots, sizeof *larger.ids);
    larger.hashes = lmmc_machine_allocate(m, larger.slots, sizeof *larger.hashes);
    if (!larger.ids || !larger.hashes) return lmmc_table_free(&larger), false;
    for (uint32_t i = 0; i < t->slots; i++) {
      if (!t->ids[i]) continue;
      uint32_t slot = t->hashes[i] & (larger.slots - 1);
      while (larger.ids[slot]) slot = (slot + 1) & (larger.slots - 1);
      larger.ids[slot] = t->ids[i], larger.hashes[slot] = t->hashes[i];
    }
    m->bytes -= t->slots * 2 * sizeof *t->ids;
    lmmc_table_free(t);
    *t = larger;
  }
  uint32_t slot = hash & (t->slots - 1);
  while (t->ids[slot]) slot = (slot + 1) & (t->slots - 1);
  t->ids[slot] = id, t->hashes[slot] = hash;
  t->count++;
  return true;
}

// The reserved states and the stack that all others stand on.
static bool begin(lmmc_machine *m) {
  const uint32_t frames = m->grammar->frame_count, states = m->grammar->state_count;
  m->start = lmmc_machine_allocate(m, frames, sizeof *m->start);
  m->called = lmmc_machine_allocate(m, frames, sizeof *m->called);
  m->run = lmmc_machine_allocate(m, frames, sizeof *m->run);
  m->seen = lmmc_machine_allocate(m, states, sizeof *m->seen);
  m->work = lmmc_machine_allocate(m, states, sizeof *m->work);
  m->pending = lmmc_machine_allocate(m, 1, sizeof *m->pending);
  if (!lmmc_machine_grow(m, (void **)&m->locals, &m->local_room, 0, 2, sizeof *m->locals) ||
      !lmmc_machine_grow(m, (void **)&m->stacks, &m->stack_room, 0, 1, sizeof *m->stacks) ||
      !lmmc_machine_grow(m, (void **)&m->configurations, &m->configuration_room, 0, 2, sizeof *m->configurations))
    return false;
  memset(m->locals, 0, 2 * sizeof *m->locals);
  memset(m->configurations, 0, 2 * sizeof *m->configurations);
  m->local_count = m->configuration_count = 2;
  m->stacks[0] = (lmmc_stack){0};
  m->stack_count = 1;
  return true;
}

static void drop(lmmc_machine *m) {
  for (uint32_t i = 0; i < m->local_count; i++) {
    free(m->locals[i].row);
    lmmc_walk_free(m->locals[i].walk);
  }
  for (uint32_t i = 0; i < m->configuration_count; i++) free(m->configurations[i].row);
  free(m->locals);
  free(m->calls);
  free(m->states);
  free(m->stacks);
  free(m->configurations);
  free(m->places);
  lmmc_table_free(&m->local_table);
  lmmc_table_free(&m->stack_table);
  lmmc_table_free(&m->configuration_table);
  free(m->start);
  free(m->called);
  free(m->run);
  free(m->seen);
  free(m->work);
  free(m->pending);
}

bool lmmc_machine_open(lmmc_machine *m, const lmmc_grammar *grammar, const lmmc_vocabulary *vocabulary, lmmc_end_tokens ends, size_t limit,
                       lmmc_error *e) {
  *m = (lmmc_machine){.grammar = grammar, .vocabulary = vocabulary, .ends = ends, .limit = SIZE_MAX};
  const bool done = begin(m);
  // What the grammar itself needs does not count.
  m->limit = (limit ? limit : DEFAULT_LIMIT) + m->bytes;
  return done || lmmc_fail(e, m->error.code, "%s", m->error.message);
}

void lmmc_machine_close(lmmc_machine *m) {
  drop(m);
  *m = (lmmc_machine){0};
}

uint32_t lmmc_stack_intern(lmmc_machine *m, lmmc_stack stack) {
  uint32_t words[4] = {stack.frame, stack.rounds, stack.back, stack.below};
  const uint32_t hash = lmmc_hash_words(words, 4, 2);
  const lmmc_id_table *t = &m->stack_table;
  for (uint32_t slot = hash & (t->slots - 1); t->slots && t->ids[slot]; slot = (slot + 1) & (t->slots - 1)) {
    const lmmc_stack *s = &m->stacks[t->ids[slot]];
    if (t->hashes[slot] == hash && s->frame == stack.frame && s->rounds == stack.rounds && s->back == stack.back && s->below == stack.below)
      return t->ids[slot];
  }
  if (!lmmc_machine_grow(m, (void **)&m->stacks, &m->stack_room, m->stack_count, 1, sizeof *m->stacks)) return 0;
  stack.depth = m->stacks[stack.below].depth + 1;
  m->stacks[m->stack_count] = stack;
  return lmmc_table_add(m, &m->stack_table, hash, m->stack_count) ? m->stack_count++ : 0;
}

static void begin_places(lmmc_machine *m) {
  struct lmmc_pending *p = m->pending;
  while (p->count) p->slots[p->slot_of[--p->count]] = 0;
  p->ends = false;
}

static void add_place(lmmc_machine *m, uint32_t local, uint32_t stack) {
  struct lmmc_pending *p = m->pending;
  if (local <= LMMC_DEAD_STATE || m->failed) return;
  const uint32_t hash = lmmc_hash_words((uint32_t[]){local, stack}, 2, 3);
  uint32_t slot = hash % PENDING_SLOTS;
  for (; p->slots[slot]; slot = (slot + 1) % PENDING_SLOTS) {
    const lmmc_place *known = &p->places[p->slots[slot] - 1];
    if (known->local == local && known->stack == stack) return;
  }
  if (p->count == MOST_PENDING) {
    m->lossy = true;
    return;
  }
  p->slot_of[p->count] = slot;
  p->places[p->count++] = (lmmc_place){local, stack};
  p->slots[slot] = p->count;
}

// Behind a round of the frame on top: another one, and what follows the frame.
static void leave(lmmc_machine *m, uint32_t stack, bool again) {
  if (stack == 0) {
    m->pending->ends = true;
    return;
  }
  lmmc_stack s = m->stacks[stack];
  const lmmc_frame *frame = &m->grammar->frames[s.frame];
  // Where there is no upper limit, more rounds than the lower are not told apart.
  if (frame->most != LMMC_UNLIMITED || s.rounds < frame->least) s.rounds++;
  if (s.rounds >= frame->least) add_place(m, s.back, s.below);
  if (again && (frame->most == LMMC_UNLIMITED || s.rounds < frame->most))
    add_place(m, lmmc_local_start(m, s.frame), lmmc_stack_intern(m, s));
}

// A call behind which the calling rule only ends comes back to that rule's caller.
static void enter(lmmc_machine *m, uint32_t frame, uint32_t back, uint32_t below) {
  while (below != 0 && m->locals[back].final && m->locals[back].count == 1 && m->grammar->frames[m->stacks[below].frame].most == 1) {
    back = m->stacks[below].back;
    below = m->stacks[below].below;
  }
  if (m->stacks[below].depth + m->grammar->frames[frame].height > LMMC_DEEPEST_STACK) {
    m->lossy = true;
    return;
  }
  add_place(m, lmmc_local_start(m, frame), lmmc_stack_intern(m, (lmmc_stack){.frame = frame, .back = back, .below = below}));
}

static void go_on(lmmc_machine *m, lmmc_place place) {
  if (m->locals[place.local].final) leave(m, place.stack, true);
  for (uint32_t c = 0; c < m->locals[place.local].call_count && !m->failed; c++) {
    const uint32_t back = lmmc_local_back(m, place.local, c);
    if (back > LMMC_DEAD_STATE) enter(m, m->calls[m->locals[place.local].first_call + c].frame, back, place.stack);
  }
}

static bool has_bytes(const lmmc_byte_set *s) { return s->words[0] | s->words[1] | s->words[2] | s->words[3]; }

static int by_stack(const void *a, const void *b) {
  const lmmc_place *x = a, *y = b;
  if (x->stack != y->stack) return x->stack < y->stack ? -1 : 1;
  return (x->local > y->local) - (x->local < y->local);
}

uint32_t lmmc_configuration_intern(lmmc_machine *m, const lmmc_place *places, uint32_t count, bool ends) {
  if (m->failed || (count == 0 && !ends)) return LMMC_DEAD_STATE;
  const uint32_t hash = lmmc_hash_words((const uint32_t *)places, 2 * (size_t)count, ends ? 5 : 4);
  const lmmc_id_table *t = &m->configuration_table;
  for (uint32_t slot = hash & (t->slots - 1); t->slots && t->ids[slot]; slot = (slot + 1) & (t->slots - 1)) {
    const lmmc_configuration *c = &m->configurations[t->ids[slot]];
    if (t->hashes[slot] == hash && c->count == count && c->ends == ends &&
        (count == 0 || memcmp(m->places + c->first, places, count * sizeof *places) == 0))
      return t->ids[slot];
  }
  if (!lmmc_machine_grow(m, (void **)&m->configurations, &m->configuration_room, m->configuration_count, 1, sizeof *m->configurations) ||
      !lmmc_machine_grow(m, (void **)&m->places, &m->place_room, m->place_count, count, sizeof *m->places) ||
      !lmmc_table_add(m, &m->configuration_table, hash, m->configuration_count))
    return LMMC_DEAD_STATE;
  lmmc_configuration c = {.first = m->place_count, .count = count, .ends = ends};
  for (uint32_t i = 0; i < count; i++) {
    m->places[m->place_count++] = places[i];
    lmmc_byte_set_join(&c.accepts, &m->locals[places[i].local].accepts);
  }
  m->configurations[m->configuration_count] = c;
  return m->configuration_count++;
}

// Follows all that needs no byte, and makes the configuration of what is left: one place for each stack. In a run there may be several,
// since the ends of its rounds are told by one state at a time.
static uint32_t finish_places(lmmc_machine *m) {
  struct lmmc_pending *p = m->pending;
  uint32_t kept = 0;
  for (uint32_t i = 0; i < p->count && !m->failed; i++) {
    const lmmc_place place = p->places[i];
    if (has_bytes(&m->locals[place.local].accepts)) {
      if (kept < LMMC_MOST_STACKS)
        p->kept[kept++] = place;
      else
        m->lossy = true;
    }
    go_on(m, place);
  }
  if (kept > 1) qsort(p->kept, kept, sizeof *p->kept, by_stack);
  uint32_t count = 0;
  for (uint32_t i = 0; i < kept && !m->failed; i++) {
    if (count && p->kept[count - 1].stack == p->kept[i].stack && !lmmc_frame_is_run(m, m->locals[p->kept[i].local].frame))
      p->kept[count - 1].local = lmmc_local_union(m, p->kept[count - 1].local, p->kept[i].local);
    else
      p->kept[count++] = p->kept[i];
  }
  return lmmc_configuration_intern(m, p->kept, count, p->ends);
}

uint32_t lmmc_configuration_start(lmmc_machine *m) {
  begin_places(m);
  add_place(m, lmmc_local_start(m, 0), 0);
  return finish_places(m);
}

uint32_t lmmc_configuration_step(lmmc_machine *m, uint32_t configuration, uint32_t class) {
  if (configuration <= LMMC_DEAD_STATE) return LMMC_DEAD_STATE;
  if (!m->configurations[configuration].row) {
    uint32_t *row = lmmc_machine_allocate(m, m->grammar->class_count, sizeof *row);
    if (!row) return LMMC_DEAD_STATE;
    m->configurations[configuration].row = row;
  }
  uint32_t to = m->configurations[configuration].row[class];
  if (to != LMMC_UNKNOWN_STATE) return to;
  begin_places(m);
  const lmmc_configuration c = m->configurations[configuration];
  for (uint32_t i = 0; i < c.count && !m->failed; i++) {
    const lmmc_place place = m->places[c.first + i];
    add_place(m, lmmc_local_step(m, place.local, class), place.stack);
  }
  to = finish_places(m);
  m->configurations[configuration].row[class] = to;
  return to;
}

uint32_t lmmc_configuration_after(lmmc_machine *m, lmmc_place place) {
  begin_places(m);
  go_on(m, place);
  return finish_places(m);
}

uint32_t lmmc_configuration_at(lmmc_machine *m, lmmc_place place) {
  begin_places(m);
  add_place(m, place.local, place.stack);
  return finish_places(m);
}

uint32_t lmmc_configuration_behind(lmmc_machine *m, uint32_t stack) {
  begin_places(m);
  if (stack == 0)
    m->pending->ends = true;
  else
    add_place(m, m->stacks[stack].back, m->stacks[stack].below);
  return finish_places(m);
}

// Makes in `to` what a matcher stands on in `from`. Stacks and local states are numbered after those that they stand on.
static void keep_matchers(lmmc_machine *to, const lmmc_machine *from) {
  uint32_t *stack = calloc(from->stack_count, sizeof *stack);
  bool *needed = calloc(from->stack_count, sizeof *needed);
  lmmc_place *places = malloc(LMMC_MOST_STACKS * sizeof *places);
  uint32_t *made = calloc(from->configuration_count, sizeof *made);
  if (!stack || !needed || !places || !made) {
    out_of_memory(to);
    goto end;
  }
  for (const lmmc_matcher *x = from->matchers; x; x = x->next)
    for (size_t i = 0; i < x->count; i++) {
      const lmmc_configuration *c = &from->configurations[x->history[i].configuration];
      for (uint32_t k = 0; k < c->count; k++) needed[from->places[c->first + k].stack] = true;
    }
  for (uint32_t s = from->stack_count - 1; s > 0; s--)
    if (needed[s]) needed[from->stacks[s].below] = true;
  for (uint32_t s = 1; s < from->stack_count && !to->failed; s++) {
    if (!needed[s]) continue;
    lmmc_stack copy = from->stacks[s];
    const lmmc_local *back = &from->locals[copy.back];
    copy.below = stack[copy.below];
    copy.back = lmmc_local_intern(to, from->states + back->first, back->count);
    stack[s] = lmmc_stack_intern(to, copy);
  }
  for (lmmc_matcher *x = from->matchers; x; x = x->next)
    for (size_t i = 0; i < x->count && !to->failed; i++) {
      const uint32_t old = x->history[i].configuration;
      const lmmc_configuration *c = &from->configurations[old];
      if (!made[old]) {
        for (uint32_t k = 0; k < c->count; k++) {
          const lmmc_place *place = &from->places[c->first + k];
          const lmmc_local *l = &from->locals[place->local];
          places[k] = (lmmc_place){lmmc_local_intern(to, from->states + l->first, l->count), stack[place->stack]};
        }
        made[old] = lmmc_configuration_intern(to, places, c->count, c->ends);
      }
      x->history[i].configuration = made[old];
    }
end:
  free(stack);
  free(needed);
  free(places);
  free(made);
}

bool lmmc_machine_tidy(lmmc_machine *m) {
  if (m->failed || m->bytes <= m->limit) return !m->failed;
  lmmc_machine fresh = {
      .grammar = m->grammar, .vocabulary = m->vocabulary, .ends = m->ends, .limit = SIZE_MAX, .matchers = m->matchers, .lossy = m->lossy};
  if (begin(&fresh)) keep_matchers(&fresh, m);
  // What matchers stand on must leave room for more.
  fresh.limit = fresh.bytes > m->limit / 2 ? 2 * fresh.bytes : m->limit;
  drop(m);
  *m = fresh;
  return !m->failed;
}
