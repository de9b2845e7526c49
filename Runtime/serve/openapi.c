#include "openapi.h"

#include <string.h>

#include "base/json.h"
#include "ollama.h"
#include "server.h"

static bool append(lmmc_text *out, const char *text, lmmc_error *e) { return lmmc_text_append(out, text, strlen(text), e); }

static bool append_string(lmmc_text *out, const char *text, lmmc_error *e) { return lmmc_json_string(out, text, strlen(text), e); }

bool lmmc_openapi(lmmc_server *s, const char *rest, lmmc_instant *out, lmmc_fault *f) {
  const char *id = s->settings->model_id;
  lmmc_text *to = &out->body;
  lmmc_error e;
  (void)rest;
  return (append(to,
                 "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"lmmc\",\"description\":\"OpenAI's and Ollama's API to one "
                 "model.\",\"version\":",
                 &e) &&
          append_string(to, s->model->version, &e) && append(to, "},\"servers\":[{\"url\":\"/\"}],", &e) &&
          (!s->keys || append(to, "\"security\":[{\"key\":[]}],", &e)) &&
          append(
              to,
              "\"components\":{\"securitySchemes\":{\"key\":{\"type\":\"http\",\"scheme\":\"bearer\"}},\"schemas\":{\"Model\":{\"enum\":[",
              &e) &&
          append_string(to, id, &e) && (strchr(id, ':') || (append(to, ",", &e) && lmmc_ollama_name(s, to))) && append(to, "]}", &e) &&
          append(to, lmmc_openapi_content, &e)) ||
         lmmc_refuse_error(f, NULL, NULL, &e);
}
