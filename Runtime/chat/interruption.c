#include "interruption.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t came;

static void note(int number) {
  (void)number;
  came = 1;
}

void lmmc_interruption_watch(void) { sigaction(SIGINT, &(struct sigaction){.sa_handler = note}, NULL); }

bool lmmc_interrupt_came(void) { return came; }

bool lmmc_interrupted(void) {
  const bool is = came;
  came = 0;
  return is;
}
