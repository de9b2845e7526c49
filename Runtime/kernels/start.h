// Which kernels run is decided once, by who starts the process.
#ifndef LMMC_KERNELS_START_H
#define LMMC_KERNELS_START_H
#include "kernels/common/cpu.h"

// Products and attention run on the best code for `usable`, features that this CPU has, from here on; before the first call, on plain C.
// No kernel may be running.
void lmmc_kernels_start(lmmc_cpu usable);

#endif
