// Ollama's API: what its clients ask of a server that has one model and cannot get others.
#ifndef LMMC_SERVE_FORMATS_OLLAMA_H
#define LMMC_SERVE_FORMATS_OLLAMA_H

#include <jansson.h>
#include <stdbool.h>

#include "base/text.h"
#include "serve/exchange/http_exchange.h"
#include "serve/exchange/route.h"

// The version of Ollama whose API this is, as far as it goes: clients look for features by it.
#define LMMC_OLLAMA_VERSION "0.12.11"

extern const lmmc_format lmmc_ollama_chat, lmmc_ollama_generate, lmmc_ollama_show;

// /api/tags, /api/ps and /api/version.
bool lmmc_ollama_tags(lmmc_server *s, const char *rest, lmmc_instant *out, lmmc_fault *f);
bool lmmc_ollama_running(lmmc_server *s, const char *rest, lmmc_instant *out, lmmc_fault *f);
bool lmmc_ollama_version(lmmc_server *s, const char *rest, lmmc_instant *out, lmmc_fault *f);

// {"error": "..."}; in a stream a line of it.
bool lmmc_ollama_fault(const lmmc_fault *f, bool in_stream, lmmc_text *out);

// ---- between the files of this API

// Bodies of /api/chat, /api/generate and /api/show.
bool lmmc_ollama_read_chat(lmmc_exchange *x, const json_t *body, lmmc_fault *f);
bool lmmc_ollama_read_generate(lmmc_exchange *x, const json_t *body, lmmc_fault *f);
bool lmmc_ollama_read_show(lmmc_exchange *x, const json_t *body, lmmc_fault *f);

// Appends the beginning of each object that tells of an answer, up to what was said: the model and the time.
bool lmmc_ollama_head(const lmmc_exchange *x, lmmc_text *out);

// The object that /api/show answers with; NULL when memory is out.
json_t *lmmc_ollama_described(const lmmc_server *s);

// The model's name as Ollama spells names, with a tag, appended as a text of JSON.
bool lmmc_ollama_name(const lmmc_server *s, lmmc_text *out);

// A time of the epoch as JSON text, appended.
bool lmmc_ollama_time(const struct timespec *at, lmmc_text *out);

#endif
