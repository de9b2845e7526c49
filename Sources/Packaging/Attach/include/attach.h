// Attaches bytes to a linked ELF64 executable without a linker: they become a read-only segment of their own, aligned to a page or,
// large ones, to a huge page, mapped above everything else, with a section `.lmmc.weights` so that `strip` keeps it. The program finds
// them through the slot of Runtime/contract/attachment_slot.h, which is patched here.
// The bytes are streamed by the caller, so they may be larger than memory.
#ifndef LMMC_ATTACH_H
#define LMMC_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

enum { LMMC_ATTACH_ERROR = 512 };

typedef struct lmmc_attach lmmc_attach;

// Checks the little-endian ELF64 executable at path `executable` (static or dynamic, position-independent or not) and
// writes it, prepared for `bytes` more, to the regular file `output`, which must be empty. The caller then writes the
// attachment at `*offset` and ends with lmmc_attach_finish or lmmc_attach_abandon. With `bytes` 0 the executable stays
// as it is. NULL with one line in `error` on failure.
lmmc_attach *lmmc_attach_begin(const char *executable, int output, uint64_t bytes, uint64_t *offset, char error[LMMC_ATTACH_ERROR]);

// Writes the tables that stand after the attachment, then the header. Frees `a` in either case. Not synced to the disk.
bool lmmc_attach_finish(lmmc_attach *a, char error[LMMC_ATTACH_ERROR]);

// Frees `a`; the output is not an executable.
void lmmc_attach_abandon(lmmc_attach *a);

#endif
