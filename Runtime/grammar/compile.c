#include <stdlib.h>
#include <string.h>

#include "compile_internal.h"

// A repetition is written out while this many states hold it and its limits differ by no more than the second, since each state has tokens
// of its own to be found, which one frame has once for all. A rule that calls nothing is put in the place of its call up to the third.
enum { WRITTEN_OUT = 64, WRITTEN_CHOICES = 6, INLINED = 24, INLINE_ROUNDS = 4, DEEPEST_EXPRESSION = 2048 };

typedef struct {
  uint32_t from, to, frame;  // frame: of calls
  uint8_t kind, low, high;
} edge;
enum { EDGE_BYTES, EDGE_EMPTY, EDGE_CALL };

typedef struct {
  const lmmc_rules *rules;
  lmmc_grammar *g;
  lmmc_error *e;
  edge *edges;
  size_t edge_count, edge_room, owner_room, frame_room;
  uint32_t *size;        // of each node: states that writing it out takes, 0: not known yet
  uint32_t *inlined;     // of each rule: its size where it is put in the place of calls, else 0
  uint32_t *frame_of;    // of each rule
  uint32_t *loop_frame;  // of each node that repeats: its frame, 0: none yet
  uint32_t *body_of;     // of each frame: the expression
  uint32_t frame;        // whose states are made
  bool failed;
} compiler;

static bool fail(compiler *c, int code, const char *message) {
  if (!c->failed) lmmc_fail(c->e, code, "%s", message);
  c->failed = true;
  return false;
}

static bool room_for(compiler *c, void **array, size_t *room, size_t count, size_t size) {
  if (c->failed) return false;
  if (count < *room) return true;
  const size_t wanted = *room ? 2 * *room : 256;
  void *grown = realloc(*array, wanted * size);
  if (!grown) return fail(c, 1, "out of memory for a grammar");
  *array = grown;
  *room = wanted;
  return true;
}

static uint32_t new_state(compiler *c) {
  if (c->g->state_count >= LMMC_MOST_STATES) return fail(c, 2, "the grammar is too large: it needs more than 2097152 states"), 0;
  if (!room_for(c, (void **)&c->g->owner, &c->owner_room, c->g->state_count, sizeof *c->g->owner)) return 0;
  c->g->owner[c->g->state_count] = c->frame;
  return c->g->state_count++;
}

static void add_edge(compiler *c, edge added) {
  if (c->edge_count >= 4 * (size_t)LMMC_MOST_STATES) {
    fail(c, 2, "the grammar is too large: it needs more than 8388608 edges");
    return;
  }
  if (room_for(c, (void **)&c->edges, &c->edge_room, c->edge_count, sizeof *c->edges)) c->edges[c->edge_count++] = added;
}

static void add_empty(compiler *c, uint32_t from, uint32_t to) { add_edge(c, (edge){.from = from, .to = to, .kind = EDGE_EMPTY}); }

static uint32_t new_frame(compiler *c, uint32_t rule, lmmc_expression body, uint32_t least, uint32_t most) {
  const size_t room = c->frame_room;
  size_t bodies = room;
  if (!room_for(c, (void **)&c->g->frames, &c->frame_room, c->g->frame_count, sizeof *c->g->frames) ||
      !room_for(c, (void **)&c->body_of, &bodies, c->g->frame_count, sizeof *c->body_of))
    return 0;
  c->body_of[c->g->frame_count] = body;
  c->g->frames[c->g->frame_count] = (lmmc_frame){.rule = rule, .least = least, .most = most};
  return c->g->frame_count++;
}

// Sizes are cut off above what is written out.
static uint32_t sum(uint64_t a, uint64_t b) { return a + b > 4 * WRITTEN_OUT ? 4 * WRITTEN_OUT : (uint32_t)(a + b); }

static uint32_t copies_of(const lmmc_expression_node *n) { return n->most != LMMC_UNLIMITED ? n->most : n->least ? n->least : 1; }

// One copy is written out, whatever its size.
static bool is_written_out(const compiler *c, const lmmc_expression_node *n) {
  if (copies_of(n) == 1) return true;
  if (n->most != LMMC_UNLIMITED && n->most - n->least > WRITTEN_CHOICES) return false;
  return (uint64_t)copies_of(n) * (c->size[n->first] + 1) <= WRITTEN_OUT;
}

// States that an expression takes: known from below, since nodes are made after their parts.
static void find_sizes(compiler *c) {
  const lmmc_rules *r = c->rules;
  for (uint32_t i = 0; i < r->node_count; i++) {
    const lmmc_expression_node *n = &r->nodes[i];
    uint32_t size = 1;
    switch ((lmmc_expression_kind)n->kind) {
      case LMMC_OF_BYTES: break;
      case LMMC_OF_TEXT: size = n->count < WRITTEN_OUT ? n->count : 4 * WRITTEN_OUT; break;
      case LMMC_OF_SEQUENCE:
      case LMMC_OF_CHOICE:
        for (uint32_t k = 0; k < n->count; k++) size = sum(size, c->size[r->links[n->first + k]]);
        break;
      case LMMC_OF_REPEAT: size = is_written_out(c, n) ? sum(size, copies_of(n) * (c->size[n->first] + 1)) : 2; break;
      case LMMC_OF_CALL: size = c->inlined[n->first] ? c->inlined[n->first] : 2; break;
      case LMMC_OF_GRAPH:
        size = n->least < WRITTEN_OUT ? n->least : 4 * WRITTEN_OUT;
        for (uint32_t k = 0; k < n->count; k++) size = sum(size, c->size[r->edges[n->first + k].label]);
        break;
    }
    c->size[i] = size;
  }
}

// Whether an expression has neither calls nor repetitions that become frames. `plain` has the answers for the nodes before.
static void find_plain(const compiler *c, bool *plain) {
  const lmmc_rules *r = c->rules;
  for (uint32_t i = 0; i < r->node_count; i++) {
    const lmmc_expression_node *n = &r->nodes[i];
    plain[i] = true;
    if (n->kind == LMMC_OF_SEQUENCE || n->kind == LMMC_OF_CHOICE)
      for (uint32_t k = 0; k < n->count; k++) plain[i] &= plain[r->links[n->first + k]];
    else if (n->kind == LMMC_OF_GRAPH)
      for (uint32_t k = 0; k < n->count; k++) plain[i] &= plain[r->edges[n->first + k].label];
    else if (n->kind == LMMC_OF_REPEAT)
      plain[i] = plain[n->first] && is_written_out(c, n);
    else if (n->kind == LMMC_OF_CALL)
      plain[i] = c->inlined[n->first] != 0;
  }
}

// Small rules that call nothing are put where they are called; then rules that call only such, some rounds of it.
static bool choose_inlined(compiler *c) {
  bool *plain = malloc(c->rules->node_count);
  if (!plain) return fail(c, 1, "out of memory for a grammar");
  for (int round = 0; round < INLINE_ROUNDS; round++) {
    find_sizes(c);
    find_plain(c, plain);
    for (uint32_t i = 1; i < c->rules->rule_count; i++) {
      const lmmc_expression body = c->rules->rules[i];
      if (!c->inlined[i] && plain[body] && c->size[body] <= INLINED) c->inlined[i] = c->size[body];
    }
  }
  find_sizes(c);
  free(plain);
  return true;
}

static void build(compiler *c, lmmc_expression x, uint32_t from, uint32_t to, int depth);

static void build_call(compiler *c, uint32_t frame, uint32_t from, uint32_t to) {
  add_edge(c, (edge){.from = from, .to = to, .frame = frame, .kind = EDGE_CALL});
}

static void build_repeat(compiler *c, lmmc_expression x, uint32_t from, uint32_t to, int depth) {
  const lmmc_expression_node *n = &c->rules->nodes[x];
  if (!is_written_out(c, n)) {
    if (!c->loop_frame[x]) c->loop_frame[x] = new_frame(c, c->g->frames[c->frame].rule, n->first, n->least, n->most);
    build_call(c, c->loop_frame[x], from, to);
    return;
  }
  const bool endless = n->most == LMMC_UNLIMITED;
  for (uint32_t i = 0; i + endless < n->least && !c->failed; i++) {
    const uint32_t next = new_state(c);
    build(c, n->first, from, next, depth);
    from = next;
  }
  if (endless) {
    const uint32_t begin = new_state(c), end = n->least ? new_state(c) : begin;
    add_empty(c, from, begin);
    build(c, n->first, begin, end, depth);
    if (end != begin) add_empty(c, end, begin);
    add_empty(c, end, to);
    return;
  }
  for (uint32_t i = n->least; i < n->most && !c->failed; i++) {
    const uint32_t next = new_state(c);
    add_empty(c, from, to);
    build(c, n->first, from, next, depth);
    from = next;
  }
  add_empty(c, from, to);
}

static void build_graph(compiler *c, const lmmc_expression_node *n, uint32_t from, uint32_t to, int depth) {
  const uint32_t base = c->g->state_count;
  for (uint32_t i = 0; i < n->least; i++) new_state(c);
  if (c->failed) return;
  add_empty(c, from, base);
  add_empty(c, base + 1, to);
  for (uint32_t i = 0; i < n->count && !c->failed; i++) {
    const lmmc_graph_edge *g = &c->rules->edges[n->first + i];
    build(c, g->label, base + g->from, base + g->to, depth);
  }
}

// Adds what leads from state `from` to `to` by an expression, in the frame at hand.
static void build(compiler *c, lmmc_expression x, uint32_t from, uint32_t to, int depth) {
  const lmmc_rules *r = c->rules;
  const lmmc_expression_node *n = &r->nodes[x];
  if (c->failed) return;
  if (depth >= DEEPEST_EXPRESSION) {
    fail(c, 2, "the grammar is too deep");
    return;
  }
  switch ((lmmc_expression_kind)n->kind) {
    case LMMC_OF_BYTES: add_edge(c, (edge){.from = from, .to = to, .low = n->low, .high = n->high, .kind = EDGE_BYTES}); break;
    case LMMC_OF_TEXT:
      for (uint32_t i = 0; i < n->count && !c->failed; i++) {
        const uint32_t next = i + 1 == n->count ? to : new_state(c);
        const uint8_t byte = r->bytes[n->first + i];
        add_edge(c, (edge){.from = from, .to = next, .low = byte, .high = byte, .kind = EDGE_BYTES});
        from = next;
      }
      break;
    case LMMC_OF_SEQUENCE:
      for (uint32_t i = 0; i < n->count && !c->failed; i++) {
        const uint32_t next = i + 1 == n->count ? to : new_state(c);
        build(c, r->links[n->first + i], from, next, depth + 1);
        from = next;
      }
      if (n->count == 0) add_empty(c, from, to);
      break;
    case LMMC_OF_CHOICE:
      for (uint32_t i = 0; i < n->count && !c->failed; i++) build(c, r->links[n->first + i], from, to, depth + 1);
      break;
    case LMMC_OF_REPEAT: build_repeat(c, x, from, to, depth + 1); break;
    case LMMC_OF_CALL:
      if (c->inlined[n->first])
        build(c, r->rules[n->first], from, to, depth + 1);
      else
        build_call(c, c->frame_of[n->first], from, to);
      break;
    case LMMC_OF_GRAPH: build_graph(c, n, from, to, depth + 1); break;
  }
}

// Sorts the edges by where they begin, each kind for itself.
static bool settle_edges(compiler *c) {
  lmmc_grammar *g = c->g;
  uint32_t counts[3] = {0}, *from[3];
  for (size_t i = 0; i < c->edge_count; i++) counts[c->edges[i].kind]++;
  for (int k = 0; k < 3; k++) from[k] = calloc((size_t)g->state_count + 2, sizeof *from[k]);
  g->byte_from = from[EDGE_BYTES], g->empty_from = from[EDGE_EMPTY], g->call_from = from[EDGE_CALL];
  g->byte_edges = malloc((counts[EDGE_BYTES] + 1) * sizeof *g->byte_edges);
  g->empty_edges = malloc((counts[EDGE_EMPTY] + 1) * sizeof *g->empty_edges);
  g->call_edges = malloc((counts[EDGE_CALL] + 1) * sizeof *g->call_edges);
  if (!from[0] || !from[1] || !from[2] || !g->byte_edges || !g->empty_edges || !g->call_edges)
    return fail(c, 1, "out of memory for a grammar");
  // At first [s + 2] counts, then [s + 1] is where the next edge of s goes.
  for (size_t i = 0; i < c->edge_count; i++) from[c->edges[i].kind][c->edges[i].from + 2]++;
  for (int k = 0; k < 3; k++)
    for (uint32_t s = 2; s <= g->state_count; s++) from[k][s] += from[k][s - 1];
  bool border[257] = {true};
  for (size_t i = 0; i < c->edge_count; i++) {
    const edge *d = &c->edges[i];
    const uint32_t place = from[d->kind][d->from + 1]++;
    if (d->kind == EDGE_EMPTY) g->empty_edges[place] = d->to;
    if (d->kind == EDGE_CALL) g->call_edges[place] = (lmmc_call_edge){d->to, d->frame};
    if (d->kind != EDGE_BYTES) continue;
    g->byte_edges[place] = (lmmc_byte_edge){d->to, d->low, d->high};
    border[d->low] = border[d->high + 1] = true;
  }
  for (int b = 0; b < 256; b++) {
    if (border[b]) g->byte_of[g->class_count++] = (uint8_t)b;
    g->class_of[b] = (uint8_t)(g->class_count - 1);
  }
  return true;
}

static bool compile(compiler *c) {
  const lmmc_rules *r = c->rules;
  c->size = calloc(r->node_count, sizeof *c->size);
  c->loop_frame = calloc(r->node_count, sizeof *c->loop_frame);
  c->inlined = calloc(r->rule_count, sizeof *c->inlined);
  c->frame_of = calloc(r->rule_count, sizeof *c->frame_of);
  if (!c->size || !c->loop_frame || !c->inlined || !c->frame_of) return fail(c, 1, "out of memory for a grammar");
  if (!choose_inlined(c)) return false;
  for (uint32_t i = 0; i < r->rule_count; i++)
    if (!c->inlined[i]) c->frame_of[i] = new_frame(c, i, r->rules[i], 1, 1);
  // Frames of repetitions come to this list while it is gone through.
  for (uint32_t i = 0; i < c->g->frame_count && !c->failed; i++) {
    c->frame = i;
    const uint32_t start = new_state(c), final = new_state(c);
    if (c->failed) break;
    c->g->frames[i].start = start, c->g->frames[i].final = final;
    build(c, c->body_of[i], start, final, 0);
  }
  return !c->failed && settle_edges(c) && lmmc_grammar_analyse(c->g, c->rules, c->e);
}

bool lmmc_grammar_compile(lmmc_grammar *g, const lmmc_rules *rules, lmmc_error *e) {
  *g = (lmmc_grammar){0};
  if (rules->failed) return lmmc_fail(e, rules->error.code, "%s", rules->error.message);
  compiler c = {.rules = rules, .g = g, .e = e};
  const bool done = compile(&c);
  free(c.edges);
  free(c.size);
  free(c.inlined);
  free(c.frame_of);
  free(c.loop_frame);
  free(c.body_of);
  return done;
}

void lmmc_grammar_close(lmmc_grammar *g) {
  free(g->frames);
  free(g->byte_from);
  free(g->empty_from);
  free(g->call_from);
  free(g->byte_edges);
  free(g->empty_edges);
  free(g->call_edges);
  free(g->owner);
  free(g->useful);
  *g = (lmmc_grammar){0};
}
