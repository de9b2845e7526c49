// Emitted code, and kernels that the compiler vectorises, are compiled once for each level of a target: LMMC_LEVEL names it on the command
// line, and goes into the names that such a file defines.
#ifndef LMMC_CONTRACT_LEVEL_H
#define LMMC_CONTRACT_LEVEL_H

#ifndef LMMC_LEVEL
#define LMMC_LEVEL native  // what the command line allows, and no other level
#endif

#define LMMC_JOIN(name, level) name##_##level
#define LMMC_JOIN_EXPANDED(name, level) LMMC_JOIN(name, level)
#define LMMC_LEVELED(name) LMMC_JOIN_EXPANDED(name, LMMC_LEVEL)

#endif
