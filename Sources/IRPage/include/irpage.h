#ifndef LMMC_IRPAGE_H
#define LMMC_IRPAGE_H
#include <stddef.h>

/// The bytes of a file of the page that 'lmmc ir --html' writes, not zero-terminated, or NULL for an unknown name; `*length` receives their count.
const unsigned char *lmmc_page_file(const char *name, size_t *length);
#endif
