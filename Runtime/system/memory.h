// The memory that a program takes: whether there is enough, before the work starts, and the arena and weights as the kernel is to keep
// them.
#ifndef LMMC_SYSTEM_MEMORY_H
#define LMMC_SYSTEM_MEMORY_H

#include <stddef.h>

#include "base/error.h"
#include "contract/program.h"

// Bytes that a run needs.
typedef struct {
  uint64_t cache;    // keys and values of the positions in use, of all sequences
  uint64_t working;  // activations, images and results
  uint64_t weights;  // page cache, which is shared and can be read again
} lmmc_memory_needs;

// What a run uses: so many positions in each of so many slots, and images. One of the slots comes to hold `longest` where that is more, and
// no more than the context.
typedef struct {
  int64_t positions, sequences;
  int images;
  int64_t longest;
} lmmc_memory_use;

lmmc_memory_needs lmmc_memory_need(const lmmc_model *model, lmmc_memory_use use);

// Makes the program one of `context` positions, at most as many as it has. A step still takes a row of each sequence.
void lmmc_memory_shorten(lmmc_model *model, int32_t context);

// Bytes that this process can still get, files' page cache included; *limit says by what. Negative where nothing is known.
// `root` stands before "/proc" and "/sys".
double lmmc_memory_available(const char *root, const char **limit);

// The most bytes that were resident at once since this program began, pages of its file included. What getrusage says counts the process
// before it became this program too, and stands in where there is no /proc.
int64_t lmmc_memory_peak(void);

// Compares both. False, with `*e` filled (code 1) where cache and working memory do not fit; a warning, one line into `warning`
// [size], where the weights do not fit beside them, else an empty one.
bool lmmc_memory_check(const lmmc_model *model, lmmc_memory_use use, double available, const char *limit, char *warning, size_t size,
                       lmmc_error *e);

// How many slots, at most `use.sequences` and at least one, fit with what else a run takes, its weights included.
int64_t lmmc_memory_sequences(const lmmc_model *model, lmmc_memory_use use, double available);

// Checks, with a warning on standard error, and maps the arena, its slots from a boundary of pages on, of huge ones where slots have as
// many bytes, and small pages under them until others are asked for; asks for huge pages under the weights, and for locked ones (`--mlock`)
// where `locks` says so.
bool lmmc_memory_open(lmmc_memory *memory, const lmmc_model *model, bool locks, lmmc_memory_use use, lmmc_error *e);
void lmmc_memory_close(lmmc_memory *memory, const lmmc_model *model);

// Rows of a slot from which on huge pages are worth their memory: the caches then fill a quarter of them. More than a slot has
// where they never are.
int64_t lmmc_memory_huge_rows(const lmmc_model *model);

// Asks for huge pages under a slot. One that is not touched takes no memory all the same.
void lmmc_memory_ask_huge(const lmmc_memory *memory, const lmmc_model *model, int32_t slot);

// Gives back the pages that lie within a slot, and asks for huge ones no more. What it held is lost.
void lmmc_memory_drop_slot(const lmmc_memory *memory, const lmmc_model *model, int32_t slot);

#endif
