#include "home.h"

#include "serve/page/page.h"

bool lmmc_home(lmmc_server *s, const char *rest, lmmc_instant *out, lmmc_fault *f) {
  // What page.h asks for, beside what every reply has.
  static const char *const headers[][2] = {{"Content-Security-Policy", lmmc_page_policy},
                                           {"Referrer-Policy", "no-referrer"},
                                           {"Cross-Origin-Opener-Policy", "same-origin"},
                                           {"Cache-Control", "no-cache"},
                                           {NULL, NULL}};
  lmmc_error e;
  (void)s, (void)rest;
  out->type = "text/html; charset=utf-8";
  out->headers = headers;
  out->tag = lmmc_page_tag;
  return lmmc_text_append(&out->body, lmmc_page, lmmc_page_bytes, &e) || lmmc_refuse_error(f, NULL, NULL, &e);
}
