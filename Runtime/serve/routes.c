#include "routes.h"

#include <string.h>

#include "openai.h"
#include "texts.h"

static const lmmc_route table[] = {
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
    {.methods = LMMC_POST, .path = "/v1/embeddings", .missing = "'/v1/embeddings' is not supported by this server: its model makes none"},
};

const lmmc_route *lmmc_routes(size_t *count) {
  *count = sizeof table / sizeof *table;
  return table;
}

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
