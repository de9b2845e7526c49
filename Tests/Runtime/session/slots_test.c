// The memory of slots: what of it is resident, where huge pages are asked for, and what copies and marks touch.
#define _GNU_SOURCE  // mincore
#include "session/slots.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../check.h"
#include "contract/offsets.h"
#include "system/memory.h"

enum { HUGE = 2 << 20, SEQUENCES = 8, BLOCKS = 2, CONTEXT = 100, FIXED = 4096 + 64 };  // the slots begin within a page

static lmmc_cache caches[3];
static lmmc_model model;
static lmmc_memory memory;
static lmmc_slots slots;

// A program of eight slots, two caches in the first block and one in the second, opened.
static void open_program(uint64_t slot_bytes, uint64_t row_bytes) {
  static _Alignas(4096) const uint8_t weights[64];
  lmmc_error e = {0};
  caches[0] = (lmmc_cache){FIXED, row_bytes, 0};
  caches[1] = (lmmc_cache){FIXED + CONTEXT * row_bytes, row_bytes, 0};
  caches[2] = (lmmc_cache){FIXED + 2 * CONTEXT * row_bytes, row_bytes / 2, 1};
  model = (lmmc_model){.sequences = SEQUENCES,
                       .context = CONTEXT,
                       .chunk = CONTEXT,
                       .blocks = BLOCKS,
                       .caches = caches,
                       .cache_count = 3,
                       .slots_offset = FIXED,
                       .slot_bytes = slot_bytes,
                       .cache_bytes = CONTEXT * row_bytes * 5 / 2,
                       .attachment_bytes = sizeof weights,
                       .arena_bytes = FIXED + SEQUENCES * slot_bytes};
  memory.weights = weights;
  CHECK(lmmc_memory_open(&memory, &model, false, (lmmc_memory_use){CONTEXT, 1, 0, 0}, &e) && lmmc_slots_open(&slots, &model, &memory, &e),
        "%s", e.message);
}

static void close_program(void) {
  lmmc_slots_close(&slots);
  lmmc_memory_close(&memory, &model);
}

static uint8_t *row(int cache, int32_t slot, int32_t place) {
  return lmmc_arena(&memory, caches[cache].offset + (uint64_t)slot * model.slot_bytes + (uint64_t)place * caches[cache].row_bytes);
}

static int32_t *lengths(int32_t block) { return (int32_t *)lmmc_arena(&memory, model.lengths) + block * SEQUENCES; }

// Rows as a program would store them, other bytes in each cache, slot and row.
static void fill(int32_t slot, int32_t first, int32_t second) {
  const int32_t counts[] = {first, first, second};
  for (int c = 0; c < 3; c++)
    for (int32_t i = 0; i < counts[c]; i++) memset(row(c, slot, i), 1 + c + 3 * slot + 7 * i, caches[c].row_bytes);
  lengths(0)[slot] = first, lengths(1)[slot] = second, slots.positions[slot] = first;
}

static bool holds(int32_t slot, int32_t of, int32_t first, int32_t second) {
  const int32_t counts[] = {first, first, second};
  for (int c = 0; c < 3; c++)
    for (int32_t i = 0; i < counts[c]; i++)
      for (uint64_t b = 0; b < caches[c].row_bytes; b++)
        if (row(c, slot, i)[b] != (uint8_t)(1 + c + 3 * of + 7 * i)) return false;
  return true;
}

// Bytes of a slot that are in memory, by whole pages.
static size_t resident(int32_t slot) {
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = (uintptr_t)row(0, slot, 0);
  const uintptr_t begin = (first + page - 1) / page * page, end = (first + model.slot_bytes) / page * page;
  static unsigned char seen[4 * HUGE / 4096];
  size_t count = 0;
  if (mincore((void *)begin, end - begin, seen) != 0) perror("mincore"), exit(2);
  for (size_t i = 0; i < (end - begin) / page; i++) count += seen[i] & 1;
  return count * page;
}

// Whether the mapping at an address has a flag: "hg" where huge pages were asked for, "nh" where there shall be none.
static bool has_flag(const void *address, const char *flag) {
  FILE *f = fopen("/proc/self/smaps", "r");
  char line[512];
  bool here = false, has = false;
  unsigned long begin, end;
  while (f && fgets(line, sizeof line, f)) {
    if (sscanf(line, "%lx-%lx ", &begin, &end) == 2) here = begin <= (uintptr_t)address && (uintptr_t)address < end;
    if (here && strncmp(line, "VmFlags:", 8) == 0) has = strstr(line, flag) != NULL;
  }
  if (f) fclose(f);
  return has;
}

static bool asks_for_huge(const void *address) { return has_flag(address, " hg"); }

static size_t mapped(void) {
  FILE *f = fopen("/proc/self/statm", "r");
  size_t pages = 0;
  if (!f || fscanf(f, "%zu", &pages) != 1) exit(2);
  fclose(f);
  return pages * (size_t)sysconf(_SC_PAGESIZE);
}

// Slots begin at multiples of huge pages wherever the kernel maps. What was mapped for that is gone, and all of it when the program ends.
static void mappings(void) {
  for (size_t i = 1; i < 4; i++) {
    // The kernel puts mappings side by side.
    mmap(NULL, i * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    open_program(2 * HUGE, 8192);
    for (int32_t s = 0; s < SEQUENCES; s++) CHECK((uintptr_t)row(0, s, 0) % HUGE == 0, "slot %d begins at %p", s, (void *)row(0, s, 0));
    close_program();
  }
  const size_t before = mapped();
  open_program(2 * HUGE, 8192);
  CHECK(mapped() - before < model.arena_bytes + (64 << 10), "%zu bytes are mapped for %zu", mapped() - before, (size_t)model.arena_bytes);
  close_program();
  CHECK(mapped() < before + (64 << 10), "%zu bytes stay mapped", mapped() - before);
}

static void large(void) {
  open_program(2 * HUGE, 8192);
  CHECK(lmmc_slot_take(&slots) == 0 && lmmc_slot_room(&slots, 0) == CONTEXT, "%s", "the first slot");
  fill(0, 20, 5);
  CHECK(lmmc_slot_room(&slots, 0) == 80, "room for %d", (int)lmmc_slot_room(&slots, 0));
  CHECK(resident(0) >= 2 * 20 * 8192, "%zu bytes", resident(0));
  for (int32_t s = 1; s < SEQUENCES; s++) CHECK(resident(s) == 0, "%zu bytes of slot %d", resident(s), s);
  // A copy of the rows up to a mark, and no byte more.
  int32_t mark[1 + BLOCKS], other[1 + BLOCKS];
  CHECK(lmmc_mark_length(&model) == 1 + BLOCKS, "%d", (int)lmmc_mark_length(&model));
  lmmc_slot_mark(&slots, 0, mark);
  fill(0, 30, 9);
  CHECK(lmmc_slot_take(&slots) == 1 && lmmc_slot_take(&slots) == 2, "%s", "the next slots");
  fill(1, 40, 40);
  lmmc_slot_copy(&slots, 1, 0, mark);
  CHECK(holds(1, 0, 20, 5) && row(0, 1, 20)[0] == (uint8_t)(1 + 3 + 140) && row(2, 1, 5)[0] == (uint8_t)(1 + 2 + 3 + 35), "%s", "rows");
  CHECK(holds(0, 0, 30, 9), "%s", "the copied slot has other rows");
  lmmc_slot_mark(&slots, 1, other);
  CHECK(memcmp(mark, other, sizeof mark) == 0, "%d, %d, %d", other[0], other[1], other[2]);
  lmmc_slot_cut(&slots, 0, mark);
  lmmc_slot_mark(&slots, 0, other);
  CHECK(memcmp(mark, (int32_t[]){20, 20, 5}, sizeof mark) == 0 && memcmp(mark, other, sizeof mark) == 0, "%d, %d, %d", other[0], other[1],
        other[2]);
  // What is released is free, and empty when it is taken again; the others stay.
  fill(2, 3, 3);
  lmmc_slot_release(&slots, 0);
  CHECK(resident(0) == 0, "%zu bytes are left", resident(0));
  CHECK(holds(1, 0, 20, 5) && holds(2, 2, 3, 3), "%s", "other slots have other rows");
  CHECK(lmmc_slot_take(&slots) == 0 && lmmc_slot_room(&slots, 0) == CONTEXT && slots.positions[0] == 0 && lengths(1)[0] == 0, "%s",
        "not empty");
  // What is cleared keeps its memory.
  lmmc_slot_clear(&slots, 1);
  CHECK(resident(1) > 0 && lmmc_slot_room(&slots, 1) == CONTEXT && lmmc_slot_room(&slots, 2) == CONTEXT - 3, "%zu bytes", resident(1));
  for (int32_t s = 3; s < SEQUENCES; s++) CHECK(lmmc_slot_take(&slots) == s, "slot %d", s);
  CHECK(lmmc_slot_take(&slots) == -1, "%s", "a slot too many");
  close_program();
}

// The rows behind those that are forgotten stand at the front, in memory that may overlap; the next position stays, and takes its room.
static void forgotten(void) {
  open_program(2 * HUGE, 8192);
  for (int32_t s = 0; s < 3; s++) {
    CHECK(lmmc_slot_take(&slots) == s, "slot %d", s);
    fill(s, 60, 60);
  }
  fill(1, 60, 9);
  lmmc_slot_forget(&slots, 1, 21);
  CHECK(lengths(0)[1] == 39 && lengths(1)[1] == 0 && slots.positions[1] == 60, "%d, %d rows at %d", lengths(0)[1], lengths(1)[1],
        slots.positions[1]);
  bool right = true;
  for (int c = 0; c < 2; c++)
    for (int32_t i = 0; i < 39; i++)
      for (uint64_t b = 0; b < caches[c].row_bytes; b++) right = right && row(c, 1, i)[b] == (uint8_t)(1 + c + 3 + 7 * (21 + i));
  CHECK(right, "%s", "other rows are at the front");
  CHECK(lmmc_slot_room(&slots, 1) == CONTEXT - 60, "room for %d", (int)lmmc_slot_room(&slots, 1));
  CHECK(holds(0, 0, 60, 60) && holds(2, 2, 60, 60), "%s", "other slots have other rows");
  // What is left is what a copy gets, and nothing more can be forgotten than there is.
  int32_t mark[1 + BLOCKS];
  lmmc_slot_mark(&slots, 1, mark);
  lmmc_slot_copy(&slots, 0, 1, mark);
  CHECK(row(1, 0, 38)[0] == (uint8_t)(1 + 1 + 3 + 7 * 59) && lengths(0)[0] == 39 && slots.positions[0] == 60, "%s", "a copy");
  lmmc_slot_forget(&slots, 2, 0);
  CHECK(holds(2, 2, 60, 60) && lengths(1)[2] == 60, "%s", "nothing was forgotten");
  lmmc_slot_forget(&slots, 2, 100);
  CHECK(lengths(0)[2] == 0 && lengths(1)[2] == 0 && slots.positions[2] == 60, "%s", "all was forgotten");
  lmmc_slot_clear(&slots, 2);
  CHECK(lmmc_slot_room(&slots, 2) == CONTEXT, "%s", "room behind a clear");
  close_program();
}

// Slots that come to many rows ask for huge pages until they are released, and no others do. A row takes 20480 bytes, and all of the 4 MiB of
// a slot come into memory with the first: 52 rows fill a quarter.
static void huge(void) {
  if (access("/sys/kernel/mm/transparent_hugepage", F_OK) != 0) {
    printf("not run: huge pages under slots, this kernel has none\n");
    return;
  }
  open_program(2 * HUGE, 8192);
  for (int32_t s = 0; s < SEQUENCES; s++)
    CHECK(has_flag(row(0, s, 0), " nh") && has_flag(row(0, s, 0) + 2 * HUGE - 1, " nh"), "slot %d", s);
  CHECK(!has_flag(memory.arena, " nh"), "%s", "no huge pages before the slots");
  const int32_t enough = 52;
  int32_t mark[1 + BLOCKS] = {enough, enough, 3};
  for (int32_t s = 0; s < 4; s++) lmmc_slot_take(&slots);
  lmmc_slot_expect(&slots, 0, enough - 1);
  CHECK(!asks_for_huge(row(0, 0, 0)), "%s", "huge pages under few rows");
  lmmc_slot_expect(&slots, 0, enough);
  lmmc_slot_copy(&slots, 2, 0, mark);
  mark[0] = mark[1] = enough - 1;
  lmmc_slot_copy(&slots, 3, 0, mark);
  for (int32_t s = 0; s < SEQUENCES; s++) {
    const bool asks = s == 0 || s == 2;
    CHECK(asks_for_huge(row(0, s, 0)) == asks && asks_for_huge(row(0, s, 0) + 2 * HUGE - 1) == asks, "slot %d", s);
  }
  CHECK(!asks_for_huge(memory.arena), "%s", "huge pages before the slots");
  lmmc_slot_release(&slots, 0);
  CHECK(!asks_for_huge(row(0, 0, 0)) && asks_for_huge(row(0, 2, 0)), "%s", "a slot that was released");
  lmmc_slot_expect(&slots, lmmc_slot_take(&slots), enough);
  CHECK(asks_for_huge(row(0, 0, 0)), "%s", "a slot that was taken again");
  close_program();
}

// Slots that begin and end within pages: a neighbour loses nothing.
static void small(void) {
  open_program(3 * 4096 + 64, 40);
  CHECK((uintptr_t)memory.arena % 64 == 0, "the arena begins at %p", (void *)memory.arena);
  for (int32_t s = 0; s < 3; s++) {
    CHECK(lmmc_slot_take(&slots) == s, "slot %d", s);
    lmmc_slot_expect(&slots, s, CONTEXT);
    fill(s, CONTEXT, CONTEXT);
  }
  uint8_t *tail = row(0, 1, 0) - 64;  // behind the caches of slot 0, to its end
  memset(tail, 0x5A, 64);
  CHECK(lmmc_slot_room(&slots, 1) == 0 && !asks_for_huge(row(1, 1, 50)), "%s", "a full slot");
  lmmc_slot_release(&slots, 1);
  CHECK(resident(1) == 0 && holds(0, 0, CONTEXT, CONTEXT) && holds(2, 2, CONTEXT, CONTEXT), "%zu bytes are left", resident(1));
  CHECK(tail[0] == 0x5A && tail[63] == 0x5A, "%s", "what stood before it");
  CHECK(lengths(0)[0] == CONTEXT && lengths(0)[1] == 0 && lengths(1)[2] == CONTEXT, "%s", "lengths");
  // Others that come after find no slot in use, and what they take is empty.
  lmmc_slots_close(&slots);
  CHECK(lmmc_slots_open(&slots, &model, &memory, NULL) && lmmc_slot_take(&slots) == 0 && lmmc_slot_room(&slots, 0) == CONTEXT, "%s",
        "slot 0");
  close_program();
}

int main(void) {
  mappings();
  large();
  forgotten();
  huge();
  small();
  return check_report();
}
