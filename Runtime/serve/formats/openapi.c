#include "openapi.h"

#include <string.h>

#include "base/json.h"
#include "ollama.h"
#include "serve/exchange/server.h"

// The document up to its schemas, in the order in which it is sent; what stands between them is the server's own.
static const char before_version[] =
    "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"lmmc\",\"description\":\"OpenAI's and Ollama's API to one model.\",\"version\":";
static const char behind_version[] = "},\"servers\":[{\"url\":\"/\"}],";
static const char key_is_wanted[] = "\"security\":[{\"key\":[]}],";
static const char before_names[] =
    "\"components\":{\"securitySchemes\":{\"key\":{\"type\":\"http\",\"scheme\":\"bearer\"}},\"schemas\":{\"Model\":{\"enum\":[";
static const char behind_names[] = "]}";

static bool append(lmmc_text *out, const char *text, lmmc_error *e) { return lmmc_text_append(out, text, strlen(text), e); }

static bool append_string(lmmc_text *out, const char *text, lmmc_error *e) { return lmmc_json_string(out, text, strlen(text), e); }

bool lmmc_openapi(lmmc_server *s, const char *rest, lmmc_instant *out, lmmc_fault *f) {
  const char *id = s->settings->model_id;
  lmmc_text *to = &out->body;
  lmmc_error e;
  (void)rest;
  return (append(to, before_version, &e) && append_string(to, s->model->version, &e) && append(to, behind_version, &e) &&
          (!s->keys || append(to, key_is_wanted, &e)) && append(to, before_names, &e) && append_string(to, id, &e) &&
          (strchr(id, ':') || (append(to, ",", &e) && lmmc_ollama_name(s, to))) && append(to, behind_names, &e) &&
          append(to, lmmc_openapi_content, &e)) ||
         lmmc_refuse_error(f, NULL, NULL, &e);
}
