#ifndef LMMC_RUNTIME_SOURCES_H
#define LMMC_RUNTIME_SOURCES_H
#include <stddef.h>

/// One file of Runtime/, carried inside lmmc so that an installed compiler needs no source tree.
typedef struct {
  const char *path;            ///< relative to Runtime/, with '/' separators
  const unsigned char *bytes;  ///< `length` bytes, not zero-terminated
  size_t length;
} lmmc_runtime_source;

/// Every file of Runtime/ that an emitted program is built from; `*count` receives how many.
const lmmc_runtime_source *lmmc_runtime_sources(size_t *count);
#endif
