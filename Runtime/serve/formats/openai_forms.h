// The parts of OpenAI's formats that read.
#ifndef LMMC_SERVE_FORMATS_OPENAI_FORMS_H
#define LMMC_SERVE_FORMATS_OPENAI_FORMS_H

#include "serve/exchange/http_exchange.h"

bool lmmc_openai_read_chat(lmmc_exchange *x, const json_t *body, lmmc_fault *f);
bool lmmc_openai_read_completion(lmmc_exchange *x, const json_t *body, lmmc_fault *f);

#endif
