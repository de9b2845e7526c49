// Ctrl-C that ends no program: who works asks whether it came.
#ifndef LMMC_CHAT_INTERRUPTION_H
#define LMMC_CHAT_INTERRUPTION_H

#include <stdbool.h>

// From here on SIGINT is only noted, and ends the system call that waits.
void lmmc_interruption_watch(void);

// Whether one came since the last call.
bool lmmc_interrupted(void);

// The same for who leaves it to others.
bool lmmc_interrupt_came(void);

#endif
