#include "routes.h"

#include <string.h>

#include "home.h"
#include "serve/formats/ollama.h"
#include "serve/formats/openai.h"
#include "serve/formats/openapi.h"
#include "served_metrics.h"
#include "texts.h"

// What has to do with other models than the one that is served.
#define ONE_MODEL(route) "'" route "' is not supported by this server: it has one model, and its program is all of it"
#define NO_VECTORS(route) "'" route "' is not supported by this server: its model makes none"

static const lmmc_route table[] = {
    {.methods = LMMC_GET, .path = "/", .is_open = true, .instant = lmmc_home},
    {.methods = LMMC_GET, .path = "/health", .is_open = true, .instant = lmmc_health},
    {.methods = LMMC_GET, .path = "/props", .instant = lmmc_props},
    {.methods = LMMC_POST, .path = "/tokenize", .format = &lmmc_tokenize_format},
    {.methods = LMMC_POST, .path = "/detokenize", .format = &lmmc_detokenize_format},
    {.methods = LMMC_GET, .path = "/v1/models", .instant = lmmc_openai_models},
    {.methods = LMMC_GET, .path = "/v1/models/", .instant = lmmc_openai_models},
    {.methods = LMMC_POST, .path = "/v1/chat/completions", .format = &lmmc_openai_chat},
    {.methods = LMMC_POST, .path = "/v1/completions", .format = &lmmc_openai_completion},
    {.methods = LMMC_POST,
     .path = "/v1/responses",
     .missing = "'/v1/responses' is not supported by this server, '/v1/chat/completions' is"},
    {.methods = LMMC_POST, .path = "/v1/embeddings", .missing = NO_VECTORS("/v1/embeddings")},
    {.methods = LMMC_POST, .path = "/api/chat", .format = &lmmc_ollama_chat, .fault = lmmc_ollama_fault},
    {.methods = LMMC_POST, .path = "/api/generate", .format = &lmmc_ollama_generate, .fault = lmmc_ollama_fault},
    {.methods = LMMC_POST, .path = "/api/show", .format = &lmmc_ollama_show, .fault = lmmc_ollama_fault},
    {.methods = LMMC_GET, .path = "/api/tags", .instant = lmmc_ollama_tags, .fault = lmmc_ollama_fault},
    {.methods = LMMC_GET, .path = "/api/ps", .instant = lmmc_ollama_running, .fault = lmmc_ollama_fault},
    {.methods = LMMC_GET, .path = "/api/version", .instant = lmmc_ollama_version, .fault = lmmc_ollama_fault},
    {.methods = LMMC_POST, .path = "/api/embed", .missing = NO_VECTORS("/api/embed"), .fault = lmmc_ollama_fault},
    {.methods = LMMC_POST, .path = "/api/embeddings", .missing = NO_VECTORS("/api/embeddings"), .fault = lmmc_ollama_fault},
    {.methods = LMMC_POST, .path = "/api/pull", .missing = ONE_MODEL("/api/pull"), .fault = lmmc_ollama_fault},
    {.methods = LMMC_POST, .path = "/api/push", .missing = ONE_MODEL("/api/push"), .fault = lmmc_ollama_fault},
    {.methods = LMMC_POST, .path = "/api/create", .missing = ONE_MODEL("/api/create"), .fault = lmmc_ollama_fault},
    {.methods = LMMC_POST, .path = "/api/copy", .missing = ONE_MODEL("/api/copy"), .fault = lmmc_ollama_fault},
    {.methods = LMMC_DELETE, .path = "/api/delete", .missing = ONE_MODEL("/api/delete"), .fault = lmmc_ollama_fault},
    {.methods = LMMC_GET, .path = "/metrics", .instant = lmmc_served_metrics},
    {.methods = LMMC_GET, .path = "/openapi.json", .is_open = true, .instant = lmmc_openapi},
};

const lmmc_route *lmmc_route_find(const char *path, const char **rest) {
  *rest = NULL;
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    const size_t length = strlen(table[i].path);
    if (strcmp(path, table[i].path) == 0 && (length == 1 || table[i].path[length - 1] != '/')) return &table[i];
    if (length > 1 && table[i].path[length - 1] == '/' && strncmp(path, table[i].path, length) == 0 && path[length]) {
      *rest = path + length;
      return &table[i];
    }
  }
  return NULL;
}
