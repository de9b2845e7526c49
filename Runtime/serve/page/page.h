// The page that the server shows at `/`: a conversation by way of /v1/models and /v1/chat/completions, for any browser.
//
// It is one text of HTML with its style and script inside, and asks for nothing but those two paths, relative to its own. It holds no
// secret and is sent without an API key: whoever has none gets a page whose questions are refused. It must be sent with these headers:
//
//   Content-Type: text/html; charset=utf-8
//   Content-Security-Policy: lmmc_page_policy
//   X-Content-Type-Options: nosniff
//   Referrer-Policy: no-referrer
//   Cross-Origin-Opener-Policy: same-origin
//   Cache-Control: no-cache
//   ETag: lmmc_page_tag                           304 without a body where If-None-Match has it
//
// The policy has the sums of style and script, so a browser runs no other, loads nothing, and sends nothing elsewhere, even if a text of a
// model came to be read as HTML.
//
// It reads these in the last chunk of a stream, and does without where they are missing: `usage` with `completion_tokens`,
// `prompt_tokens` and `prompt_tokens_details.image_tokens`, and beside it `timings` in milliseconds (`vision`, `prefill`,
// `time_to_first_token`) with `tokens_per_second`. An error gives it the status, Retry-After and `error.message`.
#ifndef LMMC_SERVE_PAGE_PAGE_H
#define LMMC_SERVE_PAGE_PAGE_H

#include <stddef.h>

extern const char lmmc_page[];  // [lmmc_page_bytes], and a zero
extern const size_t lmmc_page_bytes;
extern const char lmmc_page_policy[];  // the value of Content-Security-Policy
extern const char lmmc_page_tag[];     // the value of ETag, with its quotes

#endif
