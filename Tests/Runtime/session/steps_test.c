// Steps over slots on the toy model of cli_fake_model.c: rows of any slots, in any pieces, against each sequence for itself.
#include "session/steps.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../app/cli_fake_model.h"
#include "../check.h"
#include "contract/offsets.h"
#include "program/levels.h"

static lmmc_session session;

// What a slot has been fed, and the state behind each row: states[n] of n rows.
typedef struct {
  int32_t count;
  fake_state states[FAKE_CONTEXT + 1];
} sequence;

static uint64_t seed = 1;

static int64_t draw(int64_t below) {
  seed = fake_mix(seed, 7);
  return (int64_t)((seed >> 33) % (uint64_t)below);
}

static int32_t draw_token(void) {
  return draw(5) ? (int32_t)draw(FAKE_VOCABULARY) : -1 - (int32_t)draw(FAKE_MAX_IMAGES * FAKE_VISION_TOKENS);
}

// One token behind what a slot holds.
static void decode(int32_t slot, int32_t token) { lmmc_step(&session, &(lmmc_feed){slot, &token, 1, LMMC_WANTS_LAST}, 1, "decode"); }

static const float *vision_row(int64_t r) { return (float *)lmmc_arena(session.memory, session.model->vision_rows) + r * FAKE_HIDDEN; }

static void extend(sequence *q, int32_t token) {
  const fake_state s = q->states[q->count++];
  q->states[q->count] = token < 0 ? fake_row(s, vision_row(-1 - token)) : fake_token(s, token);
}

static bool are_logits(const float *logits, fake_state state) {
  for (int32_t i = 0; i < FAKE_VOCABULARY; i++)
    if (logits[i] != fake_logit(state, i)) return false;
  return true;
}

// Feeds slots and sequences with the same tokens; the calls of the program's code that it took are as many as its chunk makes needed.
static void feed(sequence *sequences, lmmc_feed *feeds, int64_t count) {
  static fake_state wanted[FAKE_WANTED_ROWS];
  int64_t rows = 0, wants = 0;
  for (int64_t i = 0; i < count; i++) {
    sequence *q = &sequences[feeds[i].slot];
    for (int64_t k = 0; k < feeds[i].count; k++) {
      extend(q, feeds[i].tokens[k]);
      if (feeds[i].wants == LMMC_WANTS_ALL || (feeds[i].wants == LMMC_WANTS_LAST && k == feeds[i].count - 1))
        wanted[wants++] = q->states[q->count];
    }
    rows += feeds[i].count;
  }
  const int64_t before = fake_calls.steps + fake_calls.decodes;
  CHECK(lmmc_step(&session, feeds, count, "prefill") >= 0, "%s", "seconds");
  const int64_t calls = fake_calls.steps + fake_calls.decodes - before, needed = (rows + FAKE_CHUNK - 1) / FAKE_CHUNK;
  CHECK(calls == needed, "%d calls for %d rows", (int)calls, (int)rows);
  for (int64_t i = 0; i < wants; i++)
    CHECK(are_logits(lmmc_logits(&session, i), wanted[i]), "row %d of %d wanted in %d", (int)i, (int)wants, (int)rows);
}

// Sequences of other lengths, interleaved, copied and cut back.
static void random_steps(void) {
  static sequence sequences[FAKE_SEQUENCES], marked[FAKE_SEQUENCES];
  static int32_t marks[FAKE_SEQUENCES][1 + FAKE_BLOCKS], tokens[8][32];
  for (int32_t s = 0; s < FAKE_SEQUENCES; s++) {
    CHECK(lmmc_slot_take(&session.slots) == s, "slot %d", s);
    sequences[s] = marked[s] = (sequence){0};
    lmmc_slot_mark(&session.slots, s, marks[s]);
  }
  for (int turn = 0; turn < 3000; turn++) {
    const int32_t slot = (int32_t)draw(FAKE_SEQUENCES), other = (slot + 1 + (int32_t)draw(FAKE_SEQUENCES - 1)) % FAKE_SEQUENCES;
    switch (draw(8)) {
      case 0:
        lmmc_slot_mark(&session.slots, slot, marks[slot]);
        marked[slot] = sequences[slot];
        break;
      case 1:
        lmmc_slot_cut(&session.slots, slot, marks[slot]);
        sequences[slot] = marked[slot];
        break;
      case 2:
        lmmc_slot_copy(&session.slots, other, slot, marks[slot]);
        memcpy(marks[other], marks[slot], sizeof marks[other]);
        sequences[other] = marked[other] = marked[slot];
        break;
      case 3:
        lmmc_slot_release(&session.slots, slot);
        CHECK(lmmc_slot_take(&session.slots) == slot, "slot %d", slot);
        lmmc_slot_mark(&session.slots, slot, marks[slot]);
        sequences[slot] = marked[slot] = (sequence){0};
        break;
      default: {
        lmmc_feed feeds[8];
        int64_t count = 0, wants = 0, ahead[FAKE_SEQUENCES] = {0};
        for (int64_t i = 0, most = 1 + draw(8); i < most; i++) {
          const int32_t s = (int32_t)draw(FAKE_SEQUENCES);
          const int64_t room = lmmc_slot_room(&session.slots, s) - ahead[s], rows = draw(3) ? 1 : draw(32);
          CHECK(room + ahead[s] == FAKE_CONTEXT - sequences[s].count, "room for %d", (int)room);
          lmmc_feed f = {s, tokens[i], rows < room ? rows : room, (int)draw(3)};
          int64_t more = f.wants == LMMC_WANTS_ALL ? f.count : f.wants == LMMC_WANTS_LAST && f.count > 0;
          if (wants + more > FAKE_WANTED_ROWS) f.wants = LMMC_WANTS_NONE, more = 0;
          for (int64_t k = 0; k < f.count; k++) tokens[i][k] = draw_token();
          wants += more, ahead[s] += f.count;
          feeds[count++] = f;
        }
        feed(sequences, feeds, count);
      }
    }
  }
  for (int32_t s = 0; s < FAKE_SEQUENCES; s++) lmmc_slot_release(&session.slots, s);
}

// A prompt of several chunks, four in one call, one token of each together, and as many wanted rows as there may be, of several calls.
static void uses(void) {
  static sequence sequences[FAKE_SEQUENCES];
  static int32_t tokens[2 * FAKE_CHUNK + 4];
  const int32_t length = sizeof tokens / sizeof *tokens;
  for (int32_t i = 0; i < length; i++) tokens[i] = draw_token();
  tokens[length - 1] = 9;
  memset(sequences, 0, sizeof sequences);
  for (int32_t s = 0; s < FAKE_SEQUENCES; s++) lmmc_slot_take(&session.slots);
  fake_calls = (fake_call_counts){0};
  CHECK(lmmc_prefill(&session, 2, &(lmmc_ids){.values = tokens, .count = (size_t)length}, NULL) >= 0, "%s", "");
  for (int32_t i = 0; i < length; i++) extend(&sequences[2], tokens[i]);
  CHECK(are_logits(lmmc_logits(&session, 0), sequences[2].states[length]), "%s", "a prompt");
  // Logits are made of its last row alone.
  CHECK(fake_calls.steps == 3 && fake_calls.wanted == 1, "%d calls, %d rows", fake_calls.steps, fake_calls.wanted);
  // Memory is asked for before many rows come.
  session.slots.huge_rows = length + 2;
  // One row takes the fast path where its logits are wanted, a vision row too.
  fake_calls = (fake_call_counts){0};
  decode(2, 5);
  extend(&sequences[2], 5);
  CHECK(are_logits(lmmc_logits(&session, 0), sequences[2].states[length + 1]) && fake_calls.decodes == 1 && fake_calls.steps == 0, "%s",
        "a token");
  CHECK(!session.slots.huge[2], "%s", "huge pages were asked for");
  feed(sequences, &(lmmc_feed){2, &(int32_t){-3}, 1, LMMC_WANTS_LAST}, 1);
  CHECK(session.slots.huge[2] && !session.slots.huge[1], "%s", "huge pages were not asked for");
  feed(sequences, &(lmmc_feed){2, &(int32_t){3}, 1, LMMC_WANTS_NONE}, 1);
  CHECK(fake_calls.decodes == 2 && fake_calls.steps == 1, "%d and %d calls", fake_calls.decodes, fake_calls.steps);

  // What is written to files has the names of step().
  lmmc_model named = lmmc_program;
  lmmc_tensors tensors = {0};
  named.step_products = "one\n";
  session.model = &named, session.observer.tensors = &tensors;
  fake_calls = (fake_call_counts){0};
  decode(2, 6);
  CHECK(fake_calls.steps == 1 && fake_calls.decodes == 0 && tensors.next == named.step_products, "%d calls", fake_calls.steps);
  session.model = &lmmc_program, session.observer.tensors = NULL;

  lmmc_slot_clear(&session.slots, 2);
  memset(sequences, 0, sizeof sequences);
  lmmc_feed prompts[FAKE_SEQUENCES], next[FAKE_SEQUENCES];
  for (int32_t s = 0; s < FAKE_SEQUENCES; s++) {
    prompts[s] = (lmmc_feed){s, tokens + s, length - 2 * s, LMMC_WANTS_LAST};
    next[s] = (lmmc_feed){s, tokens + s, 1, LMMC_WANTS_LAST};
  }
  feed(sequences, prompts, FAKE_SEQUENCES);
  feed(sequences, next, FAKE_SEQUENCES);
  // Memory is asked for by the rows of all feeds of a slot.
  session.slots.huge_rows = session.slots.positions[1] + 9 + 6;
  feed(sequences,
       (lmmc_feed[]){{1, tokens, 9, LMMC_WANTS_LAST},
                     {3, tokens, 2, LMMC_WANTS_ALL},
                     {0, tokens, 9, LMMC_WANTS_NONE},
                     {1, tokens, 6, LMMC_WANTS_LAST},
                     {3, tokens, 1, LMMC_WANTS_ALL}},
       5);
  CHECK(session.slots.huge[1] && !session.slots.huge[0] && !session.slots.huge[3], "%s", "huge pages of a slot that came twice");
  for (int32_t s = 0; s < FAKE_SEQUENCES; s++) lmmc_slot_release(&session.slots, s);
}

// The values of the rows that the caches of a slot hold.
typedef struct {
  int32_t counts[FAKE_BLOCKS], position;
  uint64_t values[FAKE_BLOCKS][FAKE_CONTEXT];
} rows_held;

static void hold(rows_held *h, int32_t token) {
  const uint64_t value = token < 0 ? fake_row_value(vision_row(-1 - token)) : fake_token_value(token);
  h->values[0][h->counts[0]++] = fake_mix(value, (uint64_t)h->position++);
  if (value & 1) h->values[1][h->counts[1]++] = value;
}

static void drop(rows_held *h, int32_t rows) {
  for (int b = 0; b < FAKE_BLOCKS; b++) {
    h->counts[b] = h->counts[b] > rows ? h->counts[b] - rows : 0;
    memmove(h->values[b], h->values[b] + rows, (size_t)h->counts[b] * sizeof *h->values[b]);
  }
}

static fake_state state_of(const rows_held *h) {
  fake_state s = {.position = h->position};
  for (int b = 0; b < FAKE_BLOCKS; b++)
    for (int32_t i = 0; i < h->counts[b]; i++) s.blocks[b] = fake_mix(s.blocks[b], h->values[b][i]);
  return s;
}

// Prompts with compression tokens at any distance from the chunk's ends, beside others without: the logits behind them are of what is left
// of the caches, by positions that go on, and so are those of what is decoded then.
static void compressed(void) {
  lmmc_model model = lmmc_program;
  model.compression_token = 333, model.compression_count = 2;
  session.model = session.slots.model = &model;
  for (int32_t s = 0; s < FAKE_SEQUENCES; s++) lmmc_slot_take(&session.slots);
  for (int turn = 0; turn < 500; turn++) {
    static int32_t tokens[FAKE_SEQUENCES][64];
    static rows_held held[FAKE_SEQUENCES];
    lmmc_feed prompts[FAKE_SEQUENCES];
    const int32_t count = 1 + (int32_t)draw(FAKE_SEQUENCES);
    int64_t parts[2] = {0};
    memset(held, 0, sizeof held);
    for (int32_t s = 0; s < count; s++) {
      const int64_t before = draw(3) ? draw(3 * FAKE_CHUNK) : -1, more = 1 + draw(2 * FAKE_CHUNK);
      int64_t n = 0;
      for (; n < before; n++) tokens[s][n] = draw_token() % 333;
      if (before >= 0) tokens[s][n++] = 333, tokens[s][n++] = 333;
      const int64_t end = n;
      for (int64_t i = 0; i < n; i++) hold(&held[s], tokens[s][i]);
      if (before > 0) drop(&held[s], (int32_t)before);
      for (; n < end + more; n++) hold(&held[s], tokens[s][n] = draw_token() % 333);
      lmmc_slot_clear(&session.slots, s);
      prompts[s] = (lmmc_feed){s, tokens[s], n, LMMC_WANTS_LAST};
      parts[0] += end, parts[1] += more;
    }
    fake_calls = (fake_call_counts){0};
    if (count == 1)
      lmmc_prefill(&session, 0, &(lmmc_ids){.values = tokens[0], .count = (size_t)prompts[0].count}, NULL);
    else
      lmmc_prefill_all(&session, prompts, count);
    const int64_t needed = (parts[0] + FAKE_CHUNK - 1) / FAKE_CHUNK + (parts[1] + FAKE_CHUNK - 1) / FAKE_CHUNK;
    CHECK(fake_calls.steps + fake_calls.decodes == needed && fake_calls.wanted == count, "%d calls, not %d, for %d logits",
          fake_calls.steps + fake_calls.decodes, (int)needed, fake_calls.wanted);
    for (int32_t s = 0; s < count; s++) {
      CHECK(are_logits(lmmc_logits(&session, s), state_of(&held[s])), "prompt %d of %d", s, count);
      CHECK(lmmc_slot_room(&session.slots, s) == FAKE_CONTEXT - held[s].position, "room for %d", (int)lmmc_slot_room(&session.slots, s));
    }
    // A compression token that is generated is one like others.
    for (int i = 0; i < 3; i++) {
      const int32_t token = i == 1 ? 333 : draw_token();
      hold(&held[0], token);
      decode(0, token);
      CHECK(are_logits(lmmc_logits(&session, 0), state_of(&held[0])), "token %d behind a prompt", i);
    }
  }

  // What is written of the tensors is the first part, whose call makes logits.
  lmmc_tensors tensors = {0};
  model.step_products = "one\n";
  session.observer.tensors = &tensors;
  fake_calls = (fake_call_counts){0};
  lmmc_slot_clear(&session.slots, 0);
  lmmc_prefill(&session, 0, &(lmmc_ids){.values = (int32_t[]){1, -1, 333, 333, 7, 8}, .count = 6}, NULL);
  CHECK(tensors.next == model.step_products && !session.observer.tensors && fake_calls.steps == 2 && fake_calls.wanted == 2,
        "%d calls for %d logits", fake_calls.steps, fake_calls.wanted);
  for (int32_t s = 0; s < FAKE_SEQUENCES; s++) lmmc_slot_release(&session.slots, s);
  session.model = session.slots.model = &lmmc_program;
}

// A program that takes whole prompts: one with vision rows is fed by one call, which has no other rows of its slot.
static void whole_prompts(void) {
  static sequence sequences[FAKE_SEQUENCES];
  lmmc_model whole = lmmc_program;
  whole.whole_prompts = true;
  session.model = session.slots.model = &whole;
  memset(sequences, 0, sizeof sequences);
  for (int32_t s = 0; s < FAKE_SEQUENCES; s++) lmmc_slot_take(&session.slots);
  static const int32_t image[] = {1, -1, -2, -3, 4}, text[] = {5, 6, 7, 8, 9, 10, 11, 12, 13};  // of a chunk of 7
  static const struct {
    lmmc_feed feeds[4];
    int count, calls;
  } cases[] = {
      // alone, and one behind the other: rows of text fill up a call, and none with an image is begun that does not fit
      {{{0, image, 5, LMMC_WANTS_LAST}}, 1, 1},
      {{{0, image, 5, LMMC_WANTS_LAST}, {1, image, 5, LMMC_WANTS_LAST}}, 2, 2},
      {{{0, text, 2, LMMC_WANTS_LAST}, {1, image, 5, LMMC_WANTS_LAST}}, 2, 1},
      {{{0, text, 3, LMMC_WANTS_LAST}, {1, image, 5, LMMC_WANTS_LAST}}, 2, 2},
      {{{0, text, 9, LMMC_WANTS_LAST}, {1, image, 5, LMMC_WANTS_LAST}}, 2, 2},
      {{{0, text, 9, LMMC_WANTS_LAST}, {1, text, 5, LMMC_WANTS_LAST}}, 2, 2},
      {{{0, image, 5, LMMC_WANTS_LAST}, {1, text, 9, LMMC_WANTS_LAST}}, 2, 2},
      {{{0, image, 4, LMMC_WANTS_LAST}, {1, text, 1, LMMC_WANTS_LAST}, {2, image, 5, LMMC_WANTS_NONE}, {3, text, 9, LMMC_WANTS_LAST}},
       4,
       3},
      // what follows in the same slot, and in a slot of text
      {{{0, image, 5, LMMC_WANTS_LAST}, {0, text, 1, LMMC_WANTS_LAST}}, 2, 2},
      {{{0, image, 3, LMMC_WANTS_LAST}, {1, text, 1, LMMC_WANTS_LAST}, {0, text, 2, LMMC_WANTS_LAST}}, 3, 2},
      {{{0, text, 3, LMMC_WANTS_LAST}, {0, text, 2, LMMC_WANTS_LAST}}, 2, 1},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    fake_calls = (fake_call_counts){0};
    lmmc_step(&session, cases[i].feeds, cases[i].count, "prefill");
    CHECK(fake_calls.steps + fake_calls.decodes == cases[i].calls, "case %zu: %d calls", i, fake_calls.steps + fake_calls.decodes);
    int wanted = 0, calls[FAKE_SEQUENCES] = {0};
    bool has_image[FAKE_SEQUENCES] = {false};
    for (int k = 0; k < cases[i].count; k++) {
      const lmmc_feed *f = &cases[i].feeds[k];
      calls[f->slot]++;
      has_image[f->slot] |= f->tokens == image;
      for (int64_t n = 0; n < f->count; n++) extend(&sequences[f->slot], f->tokens[n]);
      if (f->wants == LMMC_WANTS_LAST)
        CHECK(are_logits(lmmc_logits(&session, wanted++), sequences[f->slot].states[sequences[f->slot].count]), "case %zu: feed %d", i, k);
    }
    for (int32_t s = 0; s < FAKE_SEQUENCES; s++) {
      CHECK(!has_image[s] || fake_calls.slot_calls[s] == calls[s], "case %zu: slot %d in %d calls", i, s, fake_calls.slot_calls[s]);
      lmmc_slot_clear(&session.slots, s);
    }
    memset(sequences, 0, sizeof sequences);
  }
  // A prompt of a single vision row is one too.
  fake_calls = (fake_call_counts){0};
  lmmc_step(&session, &(lmmc_feed){0, &(int32_t){-2}, 1, LMMC_WANTS_LAST}, 1, "prefill");
  decode(0, 3);
  CHECK(fake_calls.steps == 1 && fake_calls.decodes == 1, "%d and %d calls", fake_calls.steps, fake_calls.decodes);
  // Whoever feeds one behind other rows is wrong.
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    fclose(stderr);
    lmmc_step(&session, &(lmmc_feed){0, image, 5, LMMC_WANTS_LAST}, 1, "prefill");
    _exit(0);
  }
  int status = 0;
  CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %d", status);
  session.model = session.slots.model = &lmmc_program;
  for (int32_t s = 0; s < FAKE_SEQUENCES; s++) lmmc_slot_release(&session.slots, s);
}

// A program that recomputes: what follows a prompt with vision rows goes into the program with all of it, from position 0 on, and text as ever.
static void recomputed(void) {
  enum { ROOM = 7 };  // as many as the rows of a call
  static sequence sequences[FAKE_SEQUENCES];
  lmmc_model anew = lmmc_program;
  anew.whole_prompts = anew.recomputes = true, anew.context = ROOM;
  session.model = session.slots.model = &anew;
  session.slots.fed = calloc(FAKE_SEQUENCES * ROOM, sizeof *session.slots.fed);
  CHECK(session.slots.fed != NULL, "%s", "memory");
  if (!session.slots.fed) return;
  memset(sequences, 0, sizeof sequences);
  for (int32_t s = 0; s < FAKE_SEQUENCES; s++) lmmc_slot_take(&session.slots);
  static const int32_t image[] = {1, -1, -2, 4}, text[] = {5, 6, 7}, more[] = {8, 9, 10};
  // Slots 0 and 1 have an image, slot 2 has none: of what follows all rows of each of the first two are one call's.
  static const struct {
    lmmc_feed feeds[3];
    int count, steps, decodes, rows[3];
  } turns[] = {
      {{{0, image, 4, LMMC_WANTS_LAST}, {2, text, 3, LMMC_WANTS_LAST}}, 2, 1, 0, {4, 0, 3}},
      {{{0, more, 1, LMMC_WANTS_LAST}}, 1, 1, 0, {5, 0, 0}},
      {{{2, more, 1, LMMC_WANTS_LAST}}, 1, 0, 1, {0, 0, 1}},
      {{{1, image, 4, LMMC_WANTS_NONE}, {2, more, 1, LMMC_WANTS_LAST}, {0, more + 1, 1, LMMC_WANTS_LAST}}, 3, 2, 0, {6, 4, 1}},
      {{{2, text, 1, LMMC_WANTS_LAST}, {1, more, 0, LMMC_WANTS_NONE}, {0, text, 1, LMMC_WANTS_LAST}}, 3, 1, 1, {7, 0, 1}},
      // in the same slot one behind the other
      {{{1, more, 1, LMMC_WANTS_LAST}, {1, text, 2, LMMC_WANTS_LAST}}, 2, 2, 0, {0, 12, 0}},
  };
  for (size_t i = 0; i < sizeof turns / sizeof *turns; i++) {
    fake_calls = (fake_call_counts){0};
    lmmc_step(&session, turns[i].feeds, turns[i].count, "decode");
    CHECK(fake_calls.steps == turns[i].steps && fake_calls.decodes == turns[i].decodes, "turn %zu: %d and %d calls", i, fake_calls.steps,
          fake_calls.decodes);
    for (int s = 0; s < 3; s++)
      CHECK(fake_calls.rows[s] == turns[i].rows[s], "turn %zu: %d rows of slot %d", i, (int)fake_calls.rows[s], s);
    int wanted = 0;
    for (int k = 0; k < turns[i].count; k++) {
      const lmmc_feed *f = &turns[i].feeds[k];
      for (int64_t n = 0; n < f->count; n++) extend(&sequences[f->slot], f->tokens[n]);
      if (f->wants == LMMC_WANTS_LAST)
        CHECK(are_logits(lmmc_logits(&session, wanted++), sequences[f->slot].states[sequences[f->slot].count]), "turn %zu: feed %d", i, k);
    }
  }
  // Prompt and answer count for the room that is left, and a copy has been fed what its original was.
  CHECK(lmmc_slot_room(&session.slots, 0) == 0 && lmmc_slot_room(&session.slots, 2) == 1, "%s", "room");
  int32_t mark[1 + FAKE_BLOCKS];
  lmmc_slot_clear(&session.slots, 0);
  sequences[0].count = 0;
  lmmc_step(&session, &(lmmc_feed){0, image, 4, LMMC_WANTS_LAST}, 1, "prefill");
  for (int n = 0; n < 4; n++) extend(&sequences[0], image[n]);
  lmmc_slot_mark(&session.slots, 0, mark);
  lmmc_slot_copy(&session.slots, 3, 0, mark);
  sequences[3] = sequences[0];
  fake_calls = (fake_call_counts){0};
  lmmc_step(&session, (lmmc_feed[]){{3, more, 1, LMMC_WANTS_LAST}, {0, text, 1, LMMC_WANTS_LAST}}, 2, "decode");
  extend(&sequences[3], more[0]), extend(&sequences[0], text[0]);
  // Cut back, it goes on from there.
  lmmc_slot_cut(&session.slots, 3, mark);
  CHECK(fake_calls.rows[0] == 5 && fake_calls.rows[3] == 5, "%d and %d rows", fake_calls.rows[0], fake_calls.rows[3]);
  CHECK(are_logits(lmmc_logits(&session, 0), sequences[3].states[5]) && are_logits(lmmc_logits(&session, 1), sequences[0].states[5]), "%s",
        "a copy");
  sequences[3].count = 4;
  decode(3, text[1]);
  extend(&sequences[3], text[1]);
  CHECK(are_logits(lmmc_logits(&session, 0), sequences[3].states[5]), "%s", "a slot that was cut");
  free(session.slots.fed);
  session.slots.fed = NULL;
  session.model = session.slots.model = &lmmc_program;
  for (int32_t s = 0; s < FAKE_SEQUENCES; s++) lmmc_slot_release(&session.slots, s);
}

int main(void) {
  lmmc_error e = {0};
  lmmc_memory memory = {.arena = calloc(1, lmmc_program.arena_bytes)};
  if (!memory.arena || !lmmc_session_open(&session, &lmmc_program, &memory, &e) || !lmmc_levels_start(&e))
    return fprintf(stderr, "steps_test: %s\n", e.message), 2;
  float *rows = lmmc_arena(&memory, lmmc_program.vision_rows);
  for (int64_t i = 0; i < FAKE_MAX_IMAGES * FAKE_VISION_TOKENS * FAKE_HIDDEN; i++) rows[i] = (float)draw(4096) / 1024;
  uses();
  random_steps();
  compressed();
  whole_prompts();
  recomputed();
  lmmc_session_close(&session);
  free(memory.arena);
  return check_report();
}
