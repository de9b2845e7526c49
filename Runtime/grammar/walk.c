// The tokens that a place allows. What stays in the place's frame depends on its local state alone: it is found once, by a walk over the
// tree, and kept. What leaves the frame or calls another in the middle of a token is not, since it depends on the stack: the walk notes the
// nodes where that happens, and each mask goes on from them.
#include <stdlib.h>
#include <string.h>

#include "machine.h"

// A walk that allows fewer tokens than this keeps a list of them, not a bit for each. As many different numbers of rounds have sets of
// their own.
enum { FEW_TOKENS = 1024, MOST_LIMITED = 256, NO_LIMIT = INT32_MAX };

// Where a text may leave its frame or call another: below `node`, in `local`. Of a run `rounds` were gone through on the way.
typedef struct {
  uint32_t node, local, rounds;
} crossing;

struct lmmc_walk {
  bool safe;       // all safe tokens are allowed: of a run those that have no more characters than rounds are left
  uint64_t *bits;  // [words], or
  int32_t *ids;    // [count]
  uint32_t count;
  // The tokens of a run but the safe ones, those that need fewest rounds first; need[i] is what token i needs.
  int32_t *by_need;
  uint16_t *need;
  uint32_t need_count, most_need;
  uint64_t **limited;   // [MOST_LIMITED], the tokens for as many rounds
  crossing *crossings;  // by local state
  uint32_t crossing_count;
};

void lmmc_walk_free(lmmc_walk *w) {
  if (!w) return;
  for (int i = 0; w->limited && i < MOST_LIMITED; i++) free(w->limited[i]);
  free(w->bits);
  free(w->ids);
  free(w->by_need);
  free(w->need);
  free(w->limited);
  free(w->crossings);
  free(w);
}

typedef struct {
  lmmc_machine *m;
  lmmc_walk *w;
  bool run;
  uint32_t start;  // of a run: where each round begins
  uint32_t id_room, need_room, by_need_room, crossing_room;
  struct level {
    uint32_t end, local, rounds;
  } * levels;
} walker;

static uint32_t class_of(const lmmc_machine *m, uint8_t byte) { return m->grammar->class_of[byte]; }

// Where a byte leads within the frame; of a run `*round` is added to when one ends.
static inline uint32_t step(const walker *k, uint32_t local, uint8_t byte, uint32_t *rounds) {
  const uint32_t class = class_of(k->m, byte), *row = k->m->locals[local].row;
  uint32_t to = row ? row[class] : LMMC_UNKNOWN_STATE;
  if (to == LMMC_UNKNOWN_STATE) to = lmmc_local_step(k->m, local, class);
  if (!k->run || to == LMMC_DEAD_STATE || !k->m->locals[to].final) return to;
  ++*rounds;
  return k->start;
}

// The first byte of each class that is in [low, high].
static uint32_t distinct_bytes(const lmmc_machine *m, uint8_t low, uint8_t high, uint8_t *out) {
  uint32_t count = 0;
  for (uint32_t b = low; b <= high; b++)
    if (b == low || m->grammar->class_of[b] != m->grammar->class_of[b - 1]) out[count++] = (uint8_t)b;
  return count;
}

// Whether every character that begins with [first, last], goes on with [low, high] and then with `more` bytes comes back to `local`, and
// not before its end. Of a run each is one round.
static bool comes_back(const walker *k, uint32_t local, uint8_t first, uint8_t last, uint8_t low, uint8_t high, int more) {
  uint8_t bytes[4][256];
  uint32_t counts[4] = {distinct_bytes(k->m, first, last, bytes[0]), distinct_bytes(k->m, low, high, bytes[1])};
  for (int i = 0; i < more; i++) counts[2 + i] = distinct_bytes(k->m, 0x80, 0xBF, bytes[2 + i]);
  const int length = 2 + more;
  uint32_t at[4] = {0}, states[5] = {local};
  int depth = 0;
  while (depth >= 0) {
    if (at[depth] == counts[depth]) {
      at[depth] = 0;
      depth--;
      continue;
    }
    uint32_t rounds = 0;
    const uint32_t to = step(k, states[depth], bytes[depth][at[depth]++], &rounds);
    const bool is_last = depth == length - 1;
    if (is_last ? to != local || rounds != k->run : to == LMMC_DEAD_STATE || rounds) return false;
    if (!is_last) states[++depth] = to;
  }
  return true;
}

static bool allows_safe(const walker *k, uint32_t local) {
  for (uint32_t b = 0x20; b < 0x7F; b++) {
    uint32_t rounds = 0;
    if (b != '"' && b != '\\' && (step(k, local, (uint8_t)b, &rounds) != local || rounds != k->run)) return false;
  }
  // What goes on outside the frame by such a character would have to be looked at.
  const lmmc_byte_set *after = k->run ? &k->m->grammar->frames[k->m->locals[local].frame].follow : &k->m->locals[local].after;
  for (uint32_t b = 0x20; b < 0x100; b++)
    if (b != '"' && b != '\\' && b != 0x7F && lmmc_byte_set_has(after, (uint8_t)b)) return false;
  return comes_back(k, local, 0xC2, 0xDF, 0x80, 0xBF, 0) && comes_back(k, local, 0xE0, 0xE0, 0xA0, 0xBF, 1) &&
         comes_back(k, local, 0xE1, 0xEC, 0x80, 0xBF, 1) && comes_back(k, local, 0xED, 0xED, 0x80, 0x9F, 1) &&
         comes_back(k, local, 0xEE, 0xEF, 0x80, 0xBF, 1) && comes_back(k, local, 0xF0, 0xF0, 0x90, 0xBF, 2) &&
         comes_back(k, local, 0xF1, 0xF3, 0x80, 0xBF, 2) && comes_back(k, local, 0xF4, 0xF4, 0x80, 0x8F, 2);
}

static inline bool add_token(walker *k, int32_t id, uint32_t need) {
  lmmc_walk *w = k->w;
  if (k->run) {
    if (!lmmc_machine_grow(k->m, (void **)&w->by_need, &k->by_need_room, w->need_count, 1, sizeof *w->by_need) ||
        !lmmc_machine_grow(k->m, (void **)&w->need, &k->need_room, w->need_count, 1, sizeof *w->need))
      return false;
    w->by_need[w->need_count] = id;
    w->need[w->need_count++] = need > UINT16_MAX ? UINT16_MAX : (uint16_t)need;
    return true;
  }
  if (w->bits) {
    w->bits[id / 64] |= UINT64_C(1) << id % 64;
    return true;
  }
  if (w->count < FEW_TOKENS) {
    if (!lmmc_machine_grow(k->m, (void **)&w->ids, &k->id_room, w->count, 1, sizeof *w->ids)) return false;
    w->ids[w->count++] = id;
    return true;
  }
  w->bits = lmmc_machine_allocate(k->m, lmmc_mask_words(k->m->vocabulary), sizeof *w->bits);
  if (!w->bits) return false;
  for (uint32_t i = 0; i < w->count; i++) w->bits[w->ids[i] / 64] |= UINT64_C(1) << w->ids[i] % 64;
  w->bits[id / 64] |= UINT64_C(1) << id % 64;
  return true;
}

static bool add_crossing(walker *k, crossing c) {
  lmmc_walk *w = k->w;
  if (!lmmc_machine_grow(k->m, (void **)&w->crossings, &k->crossing_room, w->crossing_count, 1, sizeof *w->crossings)) return false;
  w->crossings[w->crossing_count++] = c;
  return true;
}

static bool child_in(const lmmc_vocabulary *v, uint32_t node, const lmmc_byte_set *set) {
  if (!(set->words[0] | set->words[1] | set->words[2] | set->words[3])) return false;
  for (uint32_t child = node + 1; child < v->node[node].end; child = v->node[child].end)
    if (lmmc_byte_set_has(set, v->node[child].byte)) return true;
  return false;
}

// Notes what nodes [begin, end) allow from a local state on.
static void walk_nodes(walker *k, uint32_t local, uint32_t begin, uint32_t end) {
  lmmc_machine *m = k->m;
  const lmmc_vocabulary *v = m->vocabulary;
  const lmmc_byte_set follow = m->grammar->frames[m->locals[local].frame].follow;
  // What stands at the depth of a node is of the path to its parent.
  struct level {
    uint32_t local, rounds;
  } levels[LMMC_LONGEST_TOKEN + 1];
  levels[0] = (struct level){local, 0};
  for (uint32_t i = begin; i < end && !m->failed;) {
    const lmmc_trie_node n = v->node[i];
    const struct level at = levels[n.depth];
    uint32_t rounds = at.rounds;
    const uint32_t to = step(k, at.local, n.byte, &rounds);
    if (to == LMMC_DEAD_STATE) {
      i = n.end;
      continue;
    }
    // A round that is begun is needed.
    const bool whole = rounds != at.rounds;
    for (uint32_t t = n.token; t < v->node[i + 1].token; t++)
      if (!add_token(k, v->id[t], rounds + !whole)) return;
    levels[n.depth + 1] = (struct level){to, rounds};
    if (n.end > i + 1) {
      const bool crosses = k->run ? whole && child_in(v, i, &follow) : child_in(v, i, &m->locals[to].after);
      if (crosses && !add_crossing(k, (crossing){i, to, rounds})) return;
    }
    i++;
  }
}

static int by_local(const void *a, const void *b) {
  const crossing *x = a, *y = b;
  if (x->local != y->local) return x->local < y->local ? -1 : 1;
  return (x->node > y->node) - (x->node < y->node);
}

// Sorts a run's tokens by their needs, in which there are few different numbers.
static bool sort_needs(walker *k) {
  lmmc_walk *w = k->w;
  for (uint32_t i = 0; i < w->need_count; i++)
    if (w->need[i] > w->most_need) w->most_need = w->need[i];
  uint32_t *place = calloc((size_t)w->most_need + 2, sizeof *place);
  int32_t *ids = malloc(((size_t)w->need_count + 1) * sizeof *ids);
  uint16_t *need = malloc(((size_t)w->need_count + 1) * sizeof *need);
  const bool done = place && ids && need;
  if (done) {
    for (uint32_t i = 0; i < w->need_count; i++) place[w->need[i] + 1]++;
    for (uint32_t i = 1; i <= w->most_need; i++) place[i] += place[i - 1];
    for (uint32_t i = 0; i < w->need_count; i++) {
      const uint32_t at = place[w->need[i]]++;
      ids[at] = w->by_need[i], need[at] = w->need[i];
    }
    memcpy(w->by_need, ids, w->need_count * sizeof *ids);
    memcpy(w->need, need, w->need_count * sizeof *need);
  }
  free(place);
  free(ids);
  free(need);
  return done;
}

static lmmc_walk *find_walk(lmmc_machine *m, uint32_t local) {
  const lmmc_vocabulary *v = m->vocabulary;
  walker k = {.m = m, .run = lmmc_frame_is_run(m, m->locals[local].frame)};
  if (k.run) k.start = lmmc_local_start(m, m->locals[local].frame);
  k.w = lmmc_machine_allocate(m, 1, sizeof *k.w);
  if (k.w) {
    k.w->safe = (!k.run || local == k.start) && allows_safe(&k, local);
    if (!k.w->safe) walk_nodes(&k, local, 0, v->header.safe_nodes);
    walk_nodes(&k, local, v->header.safe_nodes, v->header.nodes);
    if (k.w->crossing_count > 1) qsort(k.w->crossings, k.w->crossing_count, sizeof *k.w->crossings, by_local);
  }
  const bool done = k.w && !m->failed && (!k.run || sort_needs(&k));
  if (!done) {
    lmmc_walk_free(k.w);
    if (!m->failed) lmmc_fail(&m->error, 1, "out of memory for the tokens of a grammar");
    m->failed = true;
    return NULL;
  }
  m->locals[local].walk = k.w;
  return k.w;
}

static void join(uint64_t *mask, const uint64_t *bits, size_t words) {
  for (size_t i = 0; i < words; i++) mask[i] |= bits[i];
}

static void set(uint64_t *mask, int32_t id) { mask[id / 64] |= UINT64_C(1) << id % 64; }

// The safe tokens of at most `rounds` characters: all without the longer ones, or only the shorter ones, whichever are fewer.
static void add_safe(const lmmc_vocabulary *v, uint32_t rounds, uint64_t *bits, size_t words) {
  const uint32_t all = v->header.safe_tokens, longer = rounds < v->header.most_characters ? v->longer[rounds] : 0;
  if (longer <= all - longer) {
    join(bits, v->safe_bits, words);
    for (uint32_t i = 0; i < longer; i++) bits[v->by_characters[i] / 64] &= ~(UINT64_C(1) << v->by_characters[i] % 64);
  } else {
    for (uint32_t i = longer; i < all; i++) set(bits, v->by_characters[i]);
  }
}

// The tokens of a run with `rounds` of them left.
static void add_run(lmmc_machine *m, lmmc_walk *w, uint32_t rounds, uint64_t *mask) {
  const lmmc_vocabulary *v = m->vocabulary;
  const size_t words = lmmc_mask_words(v);
  const uint32_t most = w->safe && v->header.most_characters > w->most_need ? v->header.most_characters : w->most_need;
  const uint32_t limit = rounds < most ? rounds : most, kept = limit < MOST_LIMITED ? limit : MOST_LIMITED - 1;
  if (!w->limited) w->limited = lmmc_machine_allocate(m, MOST_LIMITED, sizeof *w->limited);
  if (!w->limited) return;
  uint64_t *bits = w->limited[kept];
  if (!bits) {
    bits = w->limited[kept] = lmmc_machine_allocate(m, words, sizeof *bits);
    if (!bits) return;
    if (w->safe) add_safe(v, kept, bits, words);
    for (uint32_t i = 0; i < w->need_count && w->need[i] <= kept; i++) set(bits, w->by_need[i]);
  }
  join(mask, bits, words);
  // Tokens of more rounds than sets are kept for are few.
  for (uint32_t i = 0; kept < limit && i < w->need_count && w->need[i] <= limit; i++)
    if (w->need[i] > kept) set(mask, w->by_need[i]);
}

void lmmc_walk_configuration(lmmc_machine *m, uint32_t configuration, uint32_t begin, uint32_t end, uint64_t *mask) {
  const lmmc_vocabulary *v = m->vocabulary;
  uint32_t levels[LMMC_LONGEST_TOKEN + 1];
  levels[v->node[begin].depth] = configuration;
  for (uint32_t i = begin; i < end && !m->failed;) {
    const lmmc_trie_node n = v->node[i];
    const uint32_t at = levels[n.depth];
    const uint32_t to =
        lmmc_byte_set_has(&m->configurations[at].accepts, n.byte) ? lmmc_configuration_step(m, at, class_of(m, n.byte)) : LMMC_DEAD_STATE;
    if (to == LMMC_DEAD_STATE) {
      i = n.end;
      continue;
    }
    for (uint32_t t = n.token; t < v->node[i + 1].token; t++) set(mask, v->id[t]);
    levels[n.depth + 1] = to;
    i++;
  }
}

void lmmc_walk_place(lmmc_machine *m, lmmc_place place, uint64_t *mask) {
  lmmc_walk *w = m->locals[place.local].walk;
  if (!w) w = find_walk(m, place.local);
  if (!w) return;
  const lmmc_vocabulary *v = m->vocabulary;
  const lmmc_stack stack = m->stacks[place.stack];
  const lmmc_frame frame = m->grammar->frames[m->locals[place.local].frame];
  const bool run = lmmc_frame_is_run(m, m->locals[place.local].frame);
  if (run) {
    add_run(m, w, frame.most == LMMC_UNLIMITED ? NO_LIMIT : frame.most - stack.rounds, mask);
  } else {
    if (w->safe) join(mask, v->safe_bits, lmmc_mask_words(v));
    if (w->bits) join(mask, w->bits, lmmc_mask_words(v));
    for (uint32_t i = 0; !w->bits && i < w->count; i++) set(mask, w->ids[i]);
  }
  uint32_t next = LMMC_DEAD_STATE;
  for (uint32_t i = 0; i < w->crossing_count && !m->failed; i++) {
    const crossing c = w->crossings[i];
    if (i == 0 || (!run && c.local != w->crossings[i - 1].local))
      next = run ? lmmc_configuration_behind(m, place.stack) : lmmc_configuration_after(m, (lmmc_place){c.local, place.stack});
    if (next == LMMC_DEAD_STATE) continue;
    if (run && (stack.rounds + c.rounds < frame.least || (frame.most != LMMC_UNLIMITED && stack.rounds + c.rounds > frame.most))) continue;
    const lmmc_byte_set accepts = m->configurations[next].accepts;
    for (uint32_t child = c.node + 1; child < v->node[c.node].end; child = v->node[child].end)
      if (lmmc_byte_set_has(&accepts, v->node[child].byte)) lmmc_walk_configuration(m, next, child, v->node[child].end, mask);
  }
}
