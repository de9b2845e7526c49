// Where the packager tells a program how far away its attached bytes are mapped, which holds for position-independent executables as well.
#ifndef LMMC_CONTRACT_ATTACHMENT_SLOT_H
#define LMMC_CONTRACT_ATTACHMENT_SLOT_H
#include <stdint.h>

#define LMMC_SLOT_SECTION ".lmmc.slot"
#define LMMC_SLOT_MAGIC "lmmc attachment"

// 32 bytes, little-endian, that stand first in their section. `displacement` is the segment's address less the slot's own address; 0, as linked,
// means that nothing is attached.
struct lmmc_attachment_slot {
  char magic[16];  // with its NUL; these 16 bytes occur once in the file
  int64_t displacement;
  uint64_t bytes;
};

#endif
