#include <stdlib.h>
#include <string.h>

#include "compile_internal.h"

enum { NO_HEIGHT = UINT32_MAX, MOST_ROUNDS = 1000 };

typedef struct {
  lmmc_grammar *g;
  const lmmc_rules *rules;
  lmmc_error *e;
  // All edges but those of bytes, backwards: into state s from those in [s] to [s + 1].
  uint32_t *into_from;
  struct source {
    uint32_t state, frame;  // frame: that is called, UINT32_MAX: none
  } * into;
  uint32_t *first_state, *states;  // those of frame f are from [f] to [f + 1]
  uint32_t *work;                  // [states]
  bool *seen;                      // [states]
} analysis;

static bool out_of_memory(lmmc_error *e) { return lmmc_fail(e, 1, "out of memory for a grammar"); }

// The states of each frame, in one list.
static bool list_states(analysis *a) {
  const lmmc_grammar *g = a->g;
  a->first_state = calloc((size_t)g->frame_count + 2, sizeof *a->first_state);
  a->states = malloc(g->state_count * sizeof *a->states);
  a->work = malloc(g->state_count * sizeof *a->work);
  a->seen = malloc(g->state_count * sizeof *a->seen);
  if (!a->first_state || !a->states || !a->work || !a->seen) return out_of_memory(a->e);
  for (uint32_t s = 0; s < g->state_count; s++) a->first_state[g->owner[s] + 2]++;
  for (uint32_t f = 2; f <= g->frame_count; f++) a->first_state[f] += a->first_state[f - 1];
  for (uint32_t s = 0; s < g->state_count; s++) a->states[a->first_state[g->owner[s] + 1]++] = s;
  return true;
}

static bool turn_edges(analysis *a) {
  const lmmc_grammar *g = a->g;
  const uint32_t n = g->state_count;
  const size_t edges = (size_t)g->byte_from[n] + g->empty_from[n] + g->call_from[n];
  a->into_from = calloc((size_t)n + 2, sizeof *a->into_from);
  a->into = malloc((edges + 1) * sizeof *a->into);
  if (!a->into_from || !a->into) return out_of_memory(a->e);
  for (int pass = 0; pass < 2; pass++) {
    for (uint32_t s = 0; s < n; s++) {
      for (uint32_t i = g->byte_from[s]; i < g->byte_from[s + 1]; i++) {
        const uint32_t to = g->byte_edges[i].to;
        if (pass == 0) a->into_from[to + 2]++;
        if (pass == 1) a->into[a->into_from[to + 1]++] = (struct source){s, UINT32_MAX};
      }
      for (uint32_t i = g->empty_from[s]; i < g->empty_from[s + 1]; i++) {
        const uint32_t to = g->empty_edges[i];
        if (pass == 0) a->into_from[to + 2]++;
        if (pass == 1) a->into[a->into_from[to + 1]++] = (struct source){s, UINT32_MAX};
      }
      for (uint32_t i = g->call_from[s]; i < g->call_from[s + 1]; i++) {
        const uint32_t to = g->call_edges[i].to;
        if (pass == 0) a->into_from[to + 2]++;
        if (pass == 1) a->into[a->into_from[to + 1]++] = (struct source){s, g->call_edges[i].frame};
      }
    }
    for (uint32_t s = 2; pass == 0 && s <= n; s++) a->into_from[s] += a->into_from[s - 1];
  }
  return true;
}

// Marks in `useful` what leads to the end of frame f by calls of frames whose height is at most `most`; whether its start does.
static bool reach_back(analysis *a, uint32_t f, uint32_t most) {
  lmmc_grammar *g = a->g;
  uint32_t count = 0;
  for (uint32_t i = a->first_state[f]; i < a->first_state[f + 1]; i++) g->useful[a->states[i]] = false;
  a->work[count++] = g->frames[f].final;
  g->useful[g->frames[f].final] = true;
  while (count) {
    const uint32_t s = a->work[--count];
    for (uint32_t i = a->into_from[s]; i < a->into_from[s + 1]; i++) {
      const struct source from = a->into[i];
      const lmmc_frame *called = from.frame == UINT32_MAX ? NULL : &g->frames[from.frame];
      if (g->useful[from.state] || (called && called->least > 0 && called->height > most)) continue;
      g->useful[from.state] = true;
      a->work[count++] = from.state;
    }
  }
  return g->useful[g->frames[f].start];
}

// Heights, lowest first: a frame of height h is one whose end is reached by calls of frames below it. A repetition that may be left out is
// no hindrance to its caller, but has itself the height of its body.
static bool find_heights(analysis *a) {
  lmmc_grammar *g = a->g;
  for (uint32_t f = 0; f < g->frame_count; f++) g->frames[f].height = NO_HEIGHT;
  bool *waits = malloc(g->frame_count);
  if (!waits) return out_of_memory(a->e);
  memset(waits, true, g->frame_count);
  for (uint32_t height = 1, found = 1; found && height < LMMC_DEEPEST_STACK; height++) {
    found = 0;
    for (uint32_t f = 0; f < g->frame_count; f++) {
      if (!waits[f] || !reach_back(a, f, height - 1)) continue;
      waits[f] = false;
      g->frames[f].height = height;
      found = 1;
    }
  }
  free(waits);
  for (uint32_t f = 0; f < g->frame_count; f++) reach_back(a, f, NO_HEIGHT - 1);
  if (g->frames[0].height == NO_HEIGHT) return lmmc_fail(a->e, 2, "the grammar has no text at all");
  return true;
}

// What can be reached from state s without a byte, a->seen of it, in a->work; the count.
static uint32_t reach_empty(analysis *a, uint32_t s) {
  const lmmc_grammar *g = a->g;
  uint32_t count = 0;
  if (!g->useful[s]) return 0;
  a->work[count++] = s;
  a->seen[s] = true;
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t at = a->work[i];
    for (uint32_t k = g->empty_from[at]; k < g->empty_from[at + 1]; k++) {
      const uint32_t to = g->empty_edges[k];
      if (!a->seen[to] && g->useful[to]) a->seen[to] = true, a->work[count++] = to;
    }
    for (uint32_t k = g->call_from[at]; k < g->call_from[at + 1]; k++) {
      const lmmc_call_edge call = g->call_edges[k];
      if (g->frames[call.frame].nullable && !a->seen[call.to] && g->useful[call.to]) a->seen[call.to] = true, a->work[count++] = call.to;
    }
  }
  for (uint32_t i = 0; i < count; i++) a->seen[a->work[i]] = false;
  return count;
}

// A repetition is left out by what its caller sees, so it is nullable where it needs no round; its body must not be.
static bool find_nullable(analysis *a) {
  lmmc_grammar *g = a->g;
  bool changed = true;
  for (int round = 0; changed && round < MOST_ROUNDS; round++) {
    changed = false;
    for (uint32_t f = 0; f < g->frame_count; f++) {
      lmmc_frame *frame = &g->frames[f];
      if (frame->nullable) continue;
      if (frame->height == NO_HEIGHT) {
        frame->nullable = frame->least == 0;
        changed |= frame->nullable;
        continue;
      }
      const uint32_t count = reach_empty(a, frame->start);
      bool body = false;
      for (uint32_t i = 0; i < count; i++) body |= a->work[i] == frame->final;
      if (body && !(frame->least == 1 && frame->most == 1))
        return lmmc_fail(a->e, 2, "%s: a repetition with a large limit of what may be empty; expected a part that has a text",
                         lmmc_rules_name_of(a->rules, frame->rule));
      if (body || frame->least == 0) frame->nullable = changed = true;
    }
  }
  if (changed) return lmmc_fail(a->e, 2, "the grammar is too deep");
  return true;
}

// Calls before any byte must not come back to the frame that made them: the stack would grow without an end.
static bool refuse_left_recursion(analysis *a) {
  lmmc_grammar *g = a->g;
  const uint32_t n = g->frame_count;
  uint32_t *from = calloc((size_t)n + 1, sizeof *from), *left = NULL, *stack = malloc(((size_t)n + 1) * sizeof *stack),
           *at = malloc(((size_t)n + 1) * sizeof *at);
  uint8_t *color = calloc(n, 1);
  bool done = false;
  if (!from || !stack || !at || !color) goto memory;
  size_t count = 0, room = 0;
  for (uint32_t f = 0; f < n; f++) {
    from[f] = (uint32_t)count;
    const uint32_t reached = reach_empty(a, g->frames[f].start);
    for (uint32_t i = 0; i < reached; i++)
      for (uint32_t k = g->call_from[a->work[i]]; k < g->call_from[a->work[i] + 1]; k++) {
        if (g->frames[g->call_edges[k].frame].height == NO_HEIGHT || !g->useful[g->call_edges[k].to]) continue;
        if (count == room) {
          room = room ? 2 * room : 256;
          uint32_t *grown = realloc(left, room * sizeof *left);
          if (!grown) goto memory;
          left = grown;
        }
        left[count++] = g->call_edges[k].frame;
      }
  }
  from[n] = (uint32_t)count;
  for (uint32_t f = 0; f < n; f++) {
    if (color[f]) continue;
    uint32_t depth = 0;
    stack[0] = f, at[0] = from[f], color[f] = 1;
    for (;;) {
      const uint32_t top = stack[depth];
      if (at[depth] == from[top + 1]) {
        color[top] = 2;
        if (depth-- == 0) break;
        continue;
      }
      const uint32_t next = left[at[depth]++];
      if (color[next] == 1) {
        lmmc_fail(a->e, 2, "%s: it begins with itself (left recursion); expected something in front of each way back to it",
                  lmmc_rules_name_of(a->rules, g->frames[next].rule));
        goto end;
      }
      if (color[next] == 0) color[next] = 1, stack[++depth] = next, at[depth] = from[next];
    }
  }
  done = true;
  goto end;
memory:
  out_of_memory(a->e);
end:
  free(from);
  free(left);
  free(stack);
  free(at);
  free(color);
  return done;
}

// The bytes that may come next in state s, and whether its frame may end without one.
static bool first_of(analysis *a, uint32_t s, lmmc_byte_set *first) {
  const lmmc_grammar *g = a->g;
  const uint32_t count = reach_empty(a, s);
  bool ends = false;
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t at = a->work[i];
    ends |= at == g->frames[g->owner[s]].final;
    for (uint32_t k = g->byte_from[at]; k < g->byte_from[at + 1]; k++)
      for (uint32_t b = g->byte_edges[k].low; g->useful[g->byte_edges[k].to] && b <= g->byte_edges[k].high; b++)
        lmmc_byte_set_add(first, (uint8_t)b);
    for (uint32_t k = g->call_from[at]; k < g->call_from[at + 1]; k++)
      if (g->useful[g->call_edges[k].to]) lmmc_byte_set_join(first, &g->frames[g->call_edges[k].frame].first);
  }
  return ends;
}

// Where the rounds do not suffice, all bytes stand for what was not found: the sets only spare work.
static bool find_bytes(analysis *a) {
  lmmc_grammar *g = a->g;
  const uint32_t n = g->state_count;
  struct after {
    uint32_t callee, owner;
    bool ends;
    lmmc_byte_set first;
  } *after = malloc(((size_t)g->call_from[n] + 1) * sizeof *after);
  if (!after) return out_of_memory(a->e);
  bool changed = true;
  int round = 0;
  for (; changed && round < MOST_ROUNDS; round++) {
    changed = false;
    for (uint32_t f = 0; f < g->frame_count; f++) {
      lmmc_byte_set first = {{0}};
      if (g->frames[f].height != NO_HEIGHT) first_of(a, g->frames[f].start, &first);
      changed |= lmmc_byte_set_join(&g->frames[f].first, &first);
    }
  }
  const lmmc_byte_set all = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
  for (uint32_t f = 0; changed && f < g->frame_count; f++) g->frames[f].first = all;
  uint32_t count = 0;
  for (uint32_t s = 0; s < n; s++)
    for (uint32_t k = g->call_from[s]; k < g->call_from[s + 1]; k++) {
      struct after *x = &after[count++];
      *x = (struct after){.callee = g->call_edges[k].frame, .owner = g->owner[s]};
      x->ends = first_of(a, g->call_edges[k].to, &x->first);
    }
  changed = true;
  for (round = 0; changed && round < MOST_ROUNDS; round++) {
    changed = false;
    for (uint32_t i = 0; i < count; i++) {
      lmmc_byte_set *follow = &g->frames[after[i].callee].follow;
      const lmmc_frame *owner = &g->frames[after[i].owner];
      changed |= lmmc_byte_set_join(follow, &after[i].first);
      if (after[i].ends) changed |= lmmc_byte_set_join(follow, &owner->follow);
      if (after[i].ends && owner->most != 1) changed |= lmmc_byte_set_join(follow, &owner->first);
    }
  }
  for (uint32_t f = 0; changed && f < g->frame_count; f++) g->frames[f].follow = all;
  free(after);
  return true;
}

bool lmmc_grammar_analyse(lmmc_grammar *g, const lmmc_rules *rules, lmmc_error *e) {
  analysis a = {.g = g, .rules = rules, .e = e};
  g->useful = calloc(g->state_count, sizeof *g->useful);
  bool done = g->useful ? list_states(&a) : out_of_memory(e);
  if (done) memset(a.seen, 0, g->state_count * sizeof *a.seen);
  done = done && turn_edges(&a) && find_heights(&a) && find_nullable(&a) && refuse_left_recursion(&a) && find_bytes(&a);
  free(a.into_from);
  free(a.into);
  free(a.first_state);
  free(a.states);
  free(a.work);
  free(a.seen);
  return done;
}
