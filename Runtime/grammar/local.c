// Local states: sets of automaton states of one frame, found as bytes lead to them.
#include <stdlib.h>
#include <string.h>

#include "machine.h"

enum { MOST_RUN_STATES = 256 };

static bool can_enter(const lmmc_grammar *g, const lmmc_call_edge *call) {
  return g->useful[call->to] && g->frames[call->frame].height != UINT32_MAX;
}

static void reach(lmmc_machine *m, uint32_t state) {
  if (m->seen[state] == m->search || !m->grammar->useful[state]) return;
  m->seen[state] = m->search;
  m->work[m->work_count++] = state;
}

static int by_number(const void *a, const void *b) {
  const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

// From the states in m->work all that is reached without a byte; of it those stay that do something, sorted.
static void close_work(lmmc_machine *m) {
  const lmmc_grammar *g = m->grammar;
  uint32_t kept = 0;
  for (uint32_t i = 0; i < m->work_count; i++) {
    const uint32_t s = m->work[i];
    for (uint32_t k = g->empty_from[s]; k < g->empty_from[s + 1]; k++) reach(m, g->empty_edges[k]);
    for (uint32_t k = g->call_from[s]; k < g->call_from[s + 1]; k++)
      if (g->frames[g->call_edges[k].frame].nullable) reach(m, g->call_edges[k].to);
  }
  for (uint32_t i = 0; i < m->work_count; i++) {
    const uint32_t s = m->work[i];
    if (g->byte_from[s] < g->byte_from[s + 1] || g->call_from[s] < g->call_from[s + 1] || s == g->frames[g->owner[s]].final)
      m->work[kept++] = s;
  }
  m->work_count = kept;
  if (kept > 1) qsort(m->work, kept, sizeof *m->work, by_number);
}

static void begin_search(lmmc_machine *m) {
  m->search++;
  m->work_count = 0;
}

// The calls of a local state that is being made, in the order of the frames called. The states behind all calls of one frame are one list.
static bool list_calls(lmmc_machine *m, lmmc_local *l) {
  const lmmc_grammar *g = m->grammar;
  uint32_t total = 0;
  bool done = true;
  l->first_call = m->call_count;
  for (uint32_t i = 0; i < l->count; i++) {
    const uint32_t s = m->states[l->first + i];
    for (uint32_t k = g->call_from[s]; done && k < g->call_from[s + 1]; k++) {
      const lmmc_call_edge *call = &g->call_edges[k];
      if (!can_enter(g, call)) continue;
      if (m->called[call->frame] == 0) {
        done = lmmc_machine_grow(m, (void **)&m->calls, &m->call_room, m->call_count, 1, sizeof *m->calls);
        if (!done) break;
        m->calls[m->call_count++] = (lmmc_local_call){.frame = call->frame};
        m->called[call->frame] = m->call_count - l->first_call;
        lmmc_byte_set_join(&l->after, &g->frames[call->frame].first);
      }
      m->calls[l->first_call + m->called[call->frame] - 1].count++;
      total++;
    }
  }
  l->call_count = m->call_count - l->first_call;
  done = done && lmmc_machine_grow(m, (void **)&m->states, &m->state_room, m->state_count, total, sizeof *m->states);
  for (uint32_t c = 0; c < l->call_count; c++) {
    lmmc_local_call *made = &m->calls[l->first_call + c];
    made->first = m->state_count;
    if (done) m->state_count += made->count;
    made->count = 0;
  }
  for (uint32_t i = 0; done && i < l->count; i++) {
    const uint32_t s = m->states[l->first + i];
    for (uint32_t k = g->call_from[s]; k < g->call_from[s + 1]; k++) {
      if (!can_enter(g, &g->call_edges[k])) continue;
      lmmc_local_call *made = &m->calls[l->first_call + m->called[g->call_edges[k].frame] - 1];
      m->states[made->first + made->count++] = g->call_edges[k].to;
    }
  }
  for (uint32_t c = 0; c < l->call_count; c++) m->called[m->calls[l->first_call + c].frame] = 0;
  return done;
}

uint32_t lmmc_local_intern(lmmc_machine *m, const uint32_t *states, uint32_t count) {
  const lmmc_grammar *g = m->grammar;
  if (count == 0 || m->failed) return LMMC_DEAD_STATE;
  const uint32_t hash = lmmc_hash_words(states, count, 1);
  const lmmc_id_table *t = &m->local_table;
  for (uint32_t slot = hash & (t->slots - 1); t->slots && t->ids[slot]; slot = (slot + 1) & (t->slots - 1)) {
    const lmmc_local *l = &m->locals[t->ids[slot]];
    if (t->hashes[slot] == hash && l->count == count && memcmp(m->states + l->first, states, count * sizeof *states) == 0)
      return t->ids[slot];
  }
  if (!lmmc_machine_grow(m, (void **)&m->locals, &m->local_room, m->local_count, 1, sizeof *m->locals) ||
      !lmmc_machine_grow(m, (void **)&m->states, &m->state_room, m->state_count, count, sizeof *m->states))
    return LMMC_DEAD_STATE;
  lmmc_local l = {.first = m->state_count, .count = count, .frame = g->owner[states[0]]};
  memcpy(m->states + m->state_count, states, count * sizeof *states);
  m->state_count += count;
  const lmmc_frame *frame = &g->frames[l.frame];
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t s = m->states[l.first + i];
    l.final |= s == frame->final;
    for (uint32_t k = g->byte_from[s]; k < g->byte_from[s + 1]; k++)
      for (uint32_t b = g->byte_edges[k].low; g->useful[g->byte_edges[k].to] && b <= g->byte_edges[k].high; b++)
        lmmc_byte_set_add(&l.accepts, (uint8_t)b);
  }
  if (l.final) lmmc_byte_set_join(&l.after, &frame->follow);
  if (l.final && frame->most != 1) lmmc_byte_set_join(&l.after, &frame->first);
  const uint32_t id = m->local_count;
  if (!list_calls(m, &l) || !lmmc_table_add(m, &m->local_table, hash, id)) return LMMC_DEAD_STATE;
  m->locals[m->local_count++] = l;
  return id;
}

uint32_t lmmc_local_start(lmmc_machine *m, uint32_t frame) {
  if (m->start[frame] == LMMC_UNKNOWN_STATE) {
    begin_search(m);
    reach(m, m->grammar->frames[frame].start);
    close_work(m);
    m->start[frame] = lmmc_local_intern(m, m->work, m->work_count);
  }
  return m->start[frame];
}

uint32_t lmmc_local_step(lmmc_machine *m, uint32_t local, uint32_t class) {
  const lmmc_grammar *g = m->grammar;
  if (local <= LMMC_DEAD_STATE) return LMMC_DEAD_STATE;
  if (!m->locals[local].row) {
    uint32_t *row = lmmc_machine_allocate(m, g->class_count, sizeof *row);
    if (!row) return LMMC_DEAD_STATE;
    m->locals[local].row = row;
  }
  const lmmc_local *l = &m->locals[local];
  uint32_t to = l->row[class];
  if (to != LMMC_UNKNOWN_STATE) return to;
  const uint8_t byte = g->byte_of[class];
  begin_search(m);
  for (uint32_t i = 0; i < l->count; i++) {
    const uint32_t s = m->states[l->first + i];
    for (uint32_t k = g->byte_from[s]; k < g->byte_from[s + 1]; k++)
      if (g->byte_edges[k].low <= byte && byte <= g->byte_edges[k].high) reach(m, g->byte_edges[k].to);
  }
  close_work(m);
  to = lmmc_local_intern(m, m->work, m->work_count);
  m->locals[local].row[class] = to;
  return to;
}

uint32_t lmmc_local_back(lmmc_machine *m, uint32_t local, uint32_t call) {
  const uint32_t place = m->locals[local].first_call + call;
  if (m->calls[place].back == LMMC_UNKNOWN_STATE) {
    begin_search(m);
    for (uint32_t i = 0; i < m->calls[place].count; i++) reach(m, m->states[m->calls[place].first + i]);
    close_work(m);
    const uint32_t back = lmmc_local_intern(m, m->work, m->work_count);
    m->calls[place].back = back;
  }
  return m->calls[place].back;
}

uint32_t lmmc_local_union(lmmc_machine *m, uint32_t a, uint32_t b) {
  if (a == b || b <= LMMC_DEAD_STATE) return a;
  if (a <= LMMC_DEAD_STATE) return b;
  begin_search(m);
  const uint32_t both[] = {a, b};
  for (int i = 0; i < 2; i++)
    for (uint32_t k = 0; k < m->locals[both[i]].count; k++) reach(m, m->states[m->locals[both[i]].first + k]);
  if (m->work_count > 1) qsort(m->work, m->work_count, sizeof *m->work, by_number);
  return lmmc_local_intern(m, m->work, m->work_count);
}

// Whether each end of the body is one that no byte and no call goes on from; bodies of many states are not looked through.
static bool find_run(lmmc_machine *m, uint32_t frame) {
  const lmmc_grammar *g = m->grammar;
  if (g->frames[frame].least == 1 && g->frames[frame].most == 1) return false;
  uint32_t found[MOST_RUN_STATES], count = 0;
  found[count++] = lmmc_local_start(m, frame);
  for (uint32_t i = 0; i < count; i++) {
    const lmmc_local l = m->locals[found[i]];
    if (found[i] == LMMC_DEAD_STATE || l.call_count || (l.final && (l.count > 1 || i == 0))) return false;
    for (uint32_t c = 0; c < g->class_count; c++) {
      const uint32_t to = lmmc_local_step(m, found[i], c);
      bool known = to == LMMC_DEAD_STATE;
      for (uint32_t k = 0; k < count && !known; k++) known = found[k] == to;
      if (known) continue;
      if (count == MOST_RUN_STATES) return false;
      found[count++] = to;
    }
  }
  return true;
}

bool lmmc_frame_is_run(lmmc_machine *m, uint32_t frame) {
  if (m->run[frame] == LMMC_RUN_UNKNOWN) m->run[frame] = find_run(m, frame) ? LMMC_RUN : LMMC_RUN_NOT;
  return m->run[frame] == LMMC_RUN;
}
