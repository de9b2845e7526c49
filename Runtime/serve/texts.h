// What is said of the server and its texts: /health, /props, /tokenize and /detokenize.
#ifndef LMMC_SERVE_TEXTS_H
#define LMMC_SERVE_TEXTS_H

#include "serve/exchange/route.h"

bool lmmc_health(lmmc_server *s, const char *rest, lmmc_instant *out, lmmc_fault *f);
bool lmmc_props(lmmc_server *s, const char *rest, lmmc_instant *out, lmmc_fault *f);

// {"content": TEXT} to {"tokens": [IDS]}, and back.
extern const lmmc_format lmmc_tokenize_format, lmmc_detokenize_format;

#endif
