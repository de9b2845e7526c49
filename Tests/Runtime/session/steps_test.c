// Steps over slots on the toy model of cli_fake_model.c: rows of any slots, in any pieces, against each sequence for itself.
#include "session/steps.h"

#include <stdlib.h>
#include <string.h>

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
  CHECK(lmmc_prefill(&session, 2, &(lmmc_ids){.values = tokens, .count = (size_t)length}) >= 0, "%s", "");
  for (int32_t i = 0; i < length; i++) extend(&sequences[2], tokens[i]);
  CHECK(are_logits(lmmc_logits(&session, 0), sequences[2].states[length]), "%s", "a prompt");
  // Logits are made of its last row alone.
  CHECK(fake_calls.steps == 3 && fake_calls.wanted == 1, "%d calls, %d rows", fake_calls.steps, fake_calls.wanted);
  // Memory is asked for before many rows come.
  session.slots.huge_rows = length + 2;
  // One row takes the fast path where its logits are wanted, a vision row too.
  fake_calls = (fake_call_counts){0};
  lmmc_decode_step(&session, 2, 5);
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
  lmmc_decode_step(&session, 2, 6);
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

int main(void) {
  lmmc_error e = {0};
  lmmc_memory memory = {.arena = calloc(1, lmmc_program.arena_bytes)};
  if (!memory.arena || !lmmc_session_open(&session, &lmmc_program, &memory, &e) || !lmmc_levels_start(&e))
    return fprintf(stderr, "steps_test: %s\n", e.message), 2;
  float *rows = lmmc_arena(&memory, lmmc_program.vision_rows);
  for (int64_t i = 0; i < FAKE_MAX_IMAGES * FAKE_VISION_TOKENS * FAKE_HIDDEN; i++) rows[i] = (float)draw(4096) / 1024;
  uses();
  random_steps();
  lmmc_session_close(&session);
  free(memory.arena);
  return check_report();
}
