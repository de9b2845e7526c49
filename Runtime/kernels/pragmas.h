// The kernels are right without OpenMP too; gcc need not warn of the pragmas then.
#ifndef LMMC_PRAGMAS_H
#define LMMC_PRAGMAS_H
#ifndef _OPENMP
#pragma GCC diagnostic ignored "-Wunknown-pragmas"
#endif
#endif
