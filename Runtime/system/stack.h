// The stacks that the program's work runs on: of a size that it knows to be enough, whatever the environment or a limit says.
#ifndef LMMC_SYSTEM_STACK_H
#define LMMC_SYSTEM_STACK_H

// Bytes of stack of each thread of the team, and of the first one where its own may not grow as far. The deepest use is attention's: blocks
// of rows, 472 KiB by gcc 12 and 477 by clang 14, below which the first thread has 260 KiB of parts where there are few rows of another
// sequence too, 733 and 737 together (Tests/Runtime/system/stack_test.c holds everything against half of this). Below 2 MiB, so that no
// huge page can back it.
enum { LMMC_STACK_BYTES = 3 << 19 };

// run(argc, argv) on a stack that is large enough; its result. 1, with a line on standard error, when memory for one cannot be had.
int lmmc_on_stack(int (*run)(int argc, char **argv), int argc, char **argv);

#endif
