// The two pieces of memory of a program by byte offset.
#ifndef LMMC_CONTRACT_OFFSETS_H
#define LMMC_CONTRACT_OFFSETS_H
#include "program.h"

static inline const float *lmmc_weight(const lmmc_memory *memory, uint64_t offset) { return (const float *)(memory->weights + offset); }

// The same for a weight in panels.
static inline const uint8_t *lmmc_packed_weight(const lmmc_memory *memory, uint64_t offset) { return memory->weights + offset; }

static inline void *lmmc_arena(const lmmc_memory *memory, uint64_t offset) { return memory->arena + offset; }

// A number that a function of the program counted and left in the arena.
static inline int64_t lmmc_count(const lmmc_memory *memory, uint64_t offset) { return *(const int32_t *)lmmc_arena(memory, offset); }

// Leaves it there, and gives it.
static inline int64_t lmmc_set_count(const lmmc_memory *memory, uint64_t offset, int64_t count) {
  *(int32_t *)lmmc_arena(memory, offset) = (int32_t)count;
  return count;
}

#endif
