// Whether the attached bytes are those that the program was compiled with.
#ifndef LMMC_PROGRAM_INTEGRITY_H
#define LMMC_PROGRAM_INTEGRITY_H
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

// The sums of `attached` (contract/checksum.h) begin at `sums`; the attachment has `bytes` bytes and begins at byte `file_offset` of its
// file, by which damage is named. `*e` is filled (code 1) for the first damage.

// The size, and a few blocks from the first to the last: about a mebibyte is read.
bool lmmc_check_sample(const uint8_t *attached, uint64_t bytes, uint64_t sums, uint64_t file_offset, lmmc_error *e);

// Every byte, on all threads.
bool lmmc_check_all(const uint8_t *attached, uint64_t bytes, uint64_t sums, uint64_t file_offset, lmmc_error *e);

#endif
