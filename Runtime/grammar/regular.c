#include "regular.h"

#include <stdlib.h>
#include <string.h>

#include "grammar.h"
#include "machine.h"

static bool out_of_memory(lmmc_rules *r) { return lmmc_rules_fail(r, 1, "out of memory for a grammar"), false; }

void lmmc_regular_free(lmmc_regular *d) {
  free(d->next);
  free(d->final);
  *d = (lmmc_regular){0};
}

static bool make_room(lmmc_rules *r, lmmc_regular *d) {
  if (d->count < d->room) return true;
  const uint32_t room = d->room ? 2 * d->room : 64;
  void *next = realloc(d->next, room * sizeof *d->next);
  if (next) d->next = next;
  bool *final = next ? realloc(d->final, room * sizeof *final) : NULL;
  if (!final) return out_of_memory(r);
  d->final = final;
  d->room = room;
  return true;
}

// The configurations of a machine, all of them that can be reached, are the states.
static bool explore(lmmc_rules *r, lmmc_machine *m, lmmc_regular *d) {
  const lmmc_grammar *g = m->grammar;
  uint32_t *state_of = NULL, known = 0, *of = malloc((LMMC_MOST_REGULAR_STATES + 2) * sizeof *of);
  if (!of) return out_of_memory(r);
  bool done = make_room(r, d);
  of[1] = lmmc_configuration_start(m);
  d->count = 2;
  for (uint32_t s = 1; done && s < d->count; s++) {
    uint32_t to_class[256];
    for (uint32_t c = 0; c < g->class_count && done; c++) {
      const uint32_t to = lmmc_configuration_step(m, of[s], c);
      if (to >= known) {
        const uint32_t more = 2 * to + 64;
        uint32_t *grown = realloc(state_of, more * sizeof *grown);
        if (!grown) done = out_of_memory(r);
        if (!grown) break;
        memset(grown + known, 0, (more - known) * sizeof *grown);
        if (known == 0 && of[1] < more) grown[of[1]] = 1;
        state_of = grown;
        known = more;
      }
      if (to > LMMC_DEAD_STATE && !state_of[to]) {
        done = d->count < LMMC_MOST_REGULAR_STATES && make_room(r, d);
        if (!done) break;
        of[d->count] = to;
        state_of[to] = d->count++;
      }
      to_class[c] = to > LMMC_DEAD_STATE ? state_of[to] : 0;
    }
    if (!done || !make_room(r, d)) break;
    for (int b = 0; b < 256; b++) d->next[s][b] = to_class[g->class_of[b]];
    d->final[s] = m->configurations[of[s]].ends;
  }
  if (done) {
    memset(d->next[0], 0, sizeof d->next[0]);
    d->final[0] = false;
  }
  if (m->failed) done = out_of_memory(r);
  free(state_of);
  free(of);
  return done && !m->lossy && !r->failed;
}

bool lmmc_regular_of(lmmc_rules *r, lmmc_expression x, lmmc_regular *d) {
  *d = (lmmc_regular){0};
  if (r->failed) return false;
  // The same expressions as a grammar of one rule.
  lmmc_rules copy = *r;
  uint32_t name = 0;
  copy.rules = &x;
  copy.names = &name;
  copy.rule_count = 1;
  lmmc_grammar g = {0};
  lmmc_machine m = {0};
  lmmc_error e = {0};
  bool done = lmmc_grammar_compile(&g, &copy, &e);
  if (done) {
    done = lmmc_machine_open(&m, &g, NULL, (lmmc_end_tokens){0}, 0, &e) && explore(r, &m, d);
    lmmc_machine_close(&m);
  } else if (e.code == 1) {
    lmmc_rules_fail(r, 1, "%s", e.message);
  } else if (g.frames && g.frames[0].height == UINT32_MAX && make_room(r, d)) {
    // Without any text there is one state, which leads nowhere.
    memset(d->next, 0, 2 * sizeof *d->next);
    d->final[0] = d->final[1] = false;
    d->count = 2;
    done = true;
  }
  lmmc_grammar_close(&g);
  return done;
}

bool lmmc_regular_combine(lmmc_rules *r, const lmmc_regular *a, const lmmc_regular *b, lmmc_regular_part part, lmmc_regular *out) {
  *out = (lmmc_regular){0};
  // Pairs of states by their hash; open addressing, 0 is an empty slot.
  enum { SLOTS = 4 * LMMC_MOST_REGULAR_STATES };
  uint32_t *slots = calloc(SLOTS, sizeof *slots), (*pairs)[2] = malloc((LMMC_MOST_REGULAR_STATES + 1) * sizeof *pairs);
  bool done = slots && pairs && make_room(r, out);
  if (!slots || !pairs) out_of_memory(r);
  if (done) {
    pairs[1][0] = pairs[1][1] = 1;
    out->count = 2;
    const uint64_t first = (UINT64_C(1) << 32 | 1) * UINT64_C(0x9E3779B97F4A7C15);
    slots[(first >> 32) % SLOTS] = 1;
  }
  for (uint32_t s = 1; done && s < out->count; s++) {
    const uint32_t x = pairs[s][0], y = pairs[s][1];
    for (int byte = 0; byte < 256 && done; byte++) {
      const uint32_t to_x = a->next[x][byte], to_y = b->next[y][byte];
      if (to_x == 0 || (part == LMMC_IN_BOTH && to_y == 0)) {
        out->next[s][byte] = 0;
        continue;
      }
      const uint64_t hash = ((uint64_t)to_x << 32 | to_y) * UINT64_C(0x9E3779B97F4A7C15);
      uint32_t slot = (hash >> 32) % SLOTS;
      while (slots[slot] && (pairs[slots[slot]][0] != to_x || pairs[slots[slot]][1] != to_y)) slot = (slot + 1) % SLOTS;
      if (!slots[slot]) {
        done = out->count < LMMC_MOST_REGULAR_STATES && make_room(r, out);
        if (!done) break;
        pairs[out->count][0] = to_x, pairs[out->count][1] = to_y;
        slots[slot] = out->count++;
      }
      out->next[s][byte] = slots[slot];
    }
    if (done) out->final[s] = a->final[x] && b->final[y] == (part == LMMC_IN_BOTH);
  }
  if (done) {
    memset(out->next[0], 0, sizeof out->next[0]);
    out->final[0] = false;
  }
  free(slots);
  free(pairs);
  return done;
}

bool lmmc_regular_matches(const lmmc_regular *d, const void *bytes, size_t count) {
  uint32_t state = 1;
  for (size_t i = 0; i < count; i++) state = d->next[state][((const uint8_t *)bytes)[i]];
  return d->final[state];
}

bool lmmc_regular_is_empty(const lmmc_regular *d) {
  // All states were reached.
  for (uint32_t s = 1; s < d->count; s++)
    if (d->final[s]) return false;
  return true;
}

lmmc_expression lmmc_regular_expression(lmmc_rules *r, const lmmc_regular *d) {
  if (lmmc_regular_is_empty(d)) return LMMC_NEVER;
  size_t room = 1024, count = 0;
  lmmc_graph_edge *edges = malloc(room * sizeof *edges);
  // In the graph state 0 is the beginning and 1 the end, so each state is one higher but the first.
  for (uint32_t s = 1; edges && s < d->count; s++) {
    const uint32_t from = s == 1 ? 0 : s;
    for (int low = 0; low < 256;) {
      const uint32_t to = d->next[s][low];
      int high = low;
      while (high < 255 && d->next[s][high + 1] == to) high++;
      if (count + 2 > room) {
        room *= 2;
        lmmc_graph_edge *grown = realloc(edges, room * sizeof *edges);
        if (!grown) free(edges);
        edges = grown;
        if (!edges) break;
      }
      if (to) edges[count++] = (lmmc_graph_edge){from, to == 1 ? 0 : to, lmmc_rules_bytes(r, (uint8_t)low, (uint8_t)high)};
      low = high + 1;
    }
    if (edges && d->final[s]) edges[count++] = (lmmc_graph_edge){from, 1, LMMC_EMPTY};
  }
  if (!edges) return out_of_memory(r), LMMC_NEVER;
  const lmmc_expression x = lmmc_rules_graph(r, d->count, edges, count);
  free(edges);
  return x;
}

bool lmmc_combine(lmmc_rules *r, lmmc_expression a, lmmc_expression b, lmmc_regular_part part, lmmc_expression *out) {
  lmmc_regular x = {0}, y = {0}, both = {0};
  const bool done = lmmc_regular_of(r, a, &x) && lmmc_regular_of(r, b, &y) && lmmc_regular_combine(r, &x, &y, part, &both);
  *out = done ? lmmc_regular_expression(r, &both) : LMMC_NEVER;
  lmmc_regular_free(&x);
  lmmc_regular_free(&y);
  lmmc_regular_free(&both);
  return done;
}
