// Who hears of each product and attention while a program's code runs.
#ifndef LMMC_OBSERVE_OBSERVER_H
#define LMMC_OBSERVE_OBSERVER_H

#include "profile.h"
#include "tensors.h"

typedef struct {
  lmmc_profile *profile;  // NULL: nothing is measured
  lmmc_tensors *tensors;  // NULL: nothing is written
} lmmc_observer;

// From here on the kernels tell `observer`, which stays where it is, of what they compute; NULL ends that. Kernels are given no session, so
// the process has one observer at a time: whoever calls the program's code begins and ends it around the call.
void lmmc_observe(const lmmc_observer *observer);

#endif
