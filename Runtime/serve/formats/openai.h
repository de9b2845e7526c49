// OpenAI's API.
#ifndef LMMC_SERVE_FORMATS_OPENAI_H
#define LMMC_SERVE_FORMATS_OPENAI_H

#include <stdbool.h>

#include "base/text.h"
#include "serve/exchange/http_exchange.h"
#include "serve/exchange/route.h"

extern const lmmc_format lmmc_openai_chat, lmmc_openai_completion;

// {"error": {"message", "type", "param", "code"}}; in a stream an event of it.
bool lmmc_openai_fault(const lmmc_fault *f, bool in_stream, lmmc_text *out);

// /v1/models, and one of them by its name in `rest`.
bool lmmc_openai_models(lmmc_server *s, const char *rest, lmmc_instant *out, lmmc_fault *f);

#endif
