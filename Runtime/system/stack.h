// The stacks that the program's work runs on: of a size that it knows to be enough, whatever the environment or a limit says.
#ifndef LMMC_SYSTEM_STACK_H
#define LMMC_SYSTEM_STACK_H

// Bytes of stack of each thread of the team, and of the first one where its own may not grow as far. The deepest use is attention's: its
// frame holds a tile, 453 KiB by gcc and 712 by clang (Tests/Runtime/system/stack_test.c holds everything against half of this). Below 2 MiB, so
// that no huge page can back it.
enum { LMMC_STACK_BYTES = 3 << 19 };

// run(argc, argv) on a stack that is large enough; its result. 1, with a line on standard error, when memory for one cannot be had.
int lmmc_on_stack(int (*run)(int argc, char **argv), int argc, char **argv);

#endif
