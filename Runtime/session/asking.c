#include "asking.h"

#include <string.h>

#include "question.h"

bool lmmc_prompt_asked(lmmc_prompt *p, const lmmc_model *m, const lmmc_tokenizer *t, const lmmc_asking *a, lmmc_error *e) {
  const lmmc_message words = {.role = LMMC_USER, .text = a->text, .bytes = a->bytes, .images = a->images};
  const bool is_conversation = a->message_count > 0;
  const lmmc_message *messages = is_conversation ? a->messages : &words;
  const int count = is_conversation ? a->message_count : 1;
  const bool is_built = a->is_raw || (!is_conversation && !a->system)
                            ? lmmc_prompt_build(p, m, t, a->text, a->bytes, a->is_raw, a->images, e)
                            : lmmc_prompt_converse(p, m, t, a->system, messages, count, e);
  if (!is_built) return false;
  if (a->is_raw) return lmmc_prompt_ask(p, m, t, a->question, a->question ? strlen(a->question) : 0, e);
  return lmmc_prompt_ask(p, m, t, messages[count - 1].text, messages[count - 1].bytes, e);
}
