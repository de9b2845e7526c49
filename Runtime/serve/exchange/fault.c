#include "fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/printable.h"

bool lmmc_refuse(lmmc_fault *f, int status, const char *code, const char *param, const char *format, ...) {
  char text[1024];
  va_list values;
  va_start(values, format);
  vsnprintf(text, sizeof text, format, values);
  va_end(values);
  *f = (lmmc_fault){.status = status, .code = code};
  lmmc_printable(f->message, sizeof f->message, text);
  if (param) lmmc_printable(f->param, sizeof f->param, param);
  return false;
}

bool lmmc_refuse_error(lmmc_fault *f, const char *code, const char *param, const lmmc_error *why) {
  const bool is_ours = strncmp(why->message, "out of memory", strlen("out of memory")) == 0;
  return lmmc_refuse(f, is_ours ? 500 : 400, is_ours ? NULL : code, param, "%s", why->message);
}

static const struct {
  int status;
  const char *name, *type;
} statuses[] = {
    {200, "OK", NULL},
    {304, "Not Modified", NULL},
    {400, "Bad Request", "invalid_request_error"},
    {401, "Unauthorized", "authentication_error"},
    {404, "Not Found", "not_found_error"},
    {405, "Method Not Allowed", "invalid_request_error"},
    {408, "Request Timeout", "invalid_request_error"},
    {411, "Length Required", "invalid_request_error"},
    {413, "Request Entity Too Large", "invalid_request_error"},
    {415, "Unsupported Media Type", "invalid_request_error"},
    {417, "Expectation Failed", "invalid_request_error"},
    {421, "Misdirected Request", "invalid_request_error"},
    {500, "Internal Server Error", "server_error"},
    {501, "Not Implemented", "not_implemented_error"},
    {503, "Service Unavailable", "service_unavailable_error"},
};
enum { STATUSES = sizeof statuses / sizeof *statuses };

const char *lmmc_status_name(int status) {
  for (int i = 0; i < STATUSES; i++)
    if (statuses[i].status == status) return statuses[i].name;
  return "Error";
}

const char *lmmc_fault_type(int status) {
  for (int i = 0; i < STATUSES; i++)
    if (statuses[i].status == status && statuses[i].type) return statuses[i].type;
  return status >= 500 ? "server_error" : "invalid_request_error";
}
