// The attached bytes: weights and tokenizer, a page-aligned read-only PT_LOAD segment that the packager adds to the
// linked executable. The program finds it without a path to itself, a section table or /proc: by the slot of
// contract/attachment_slot.h.
#ifndef LMMC_PROGRAM_ATTACHMENT_H
#define LMMC_PROGRAM_ATTACHMENT_H

#include <stdint.h>

#include "base/error.h"

// The attached bytes, or NULL when there are none. `*bytes` receives their number, 0 for none.
const uint8_t *lmmc_attachment(uint64_t *bytes);

// The attached bytes, checked against `expected`. When nothing is attached and the environment variable LMMC_WEIGHTS
// names a file, that file is mapped instead from byte LMMC_WEIGHTS_OFFSET on (for programs built by hand, and for the compiler, which has one run
// before its weights are its own). NULL with `*e` filled (code 1) on failure.
const uint8_t *lmmc_attachment_open(uint64_t expected, lmmc_error *e);

// Where in its file the byte at `address` of the attachment stands, for messages: that of the executable, or of LMMC_WEIGHTS. UINT64_MAX when
// `address` is not of the attachment that lmmc_attachment_open gave. A signal handler may ask.
uint64_t lmmc_attachment_place(const void *address);

#endif
