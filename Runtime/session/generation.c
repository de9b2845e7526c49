#include "generation.h"

#include "system/threads.h"

static bool is_eos(const lmmc_model *m, int32_t id) {
  for (int i = 0; i < m->eos_count; i++)
    if (m->eos[i] == id) return true;
  return false;
}

static bool run(lmmc_session *s, int32_t slot, const lmmc_tokenizer *tokenizer, lmmc_sampler *sampler, int64_t max_tokens,
                const lmmc_sink *sink, lmmc_text *text, lmmc_generation *out, lmmc_error *e) {
  lmmc_detokenizer detokenizer = {0};
  for (;;) {
    const float *logits = lmmc_logits(s, 0);
    int32_t id = lmmc_sample(sampler, logits, e);
    if (id < 0) return false;
    if (!out->first_token) out->first_token = lmmc_clock();
    if (sink->logits && !sink->logits(sink->context, logits, e)) return false;
    out->stopped = is_eos(s->model, id);
    if (out->stopped) break;
    out->tokens++;
    text->count = 0;
    if (!lmmc_detokenize(tokenizer, &detokenizer, id, text, e)) return false;
    const lmmc_write_result told = sink->token(sink->context, id, text->bytes, text->count, e);
    if (told == LMMC_WRITE_FAILED) return false;
    // A token for which the context has no row or position left is not decoded.
    if (out->tokens == max_tokens || lmmc_slot_room(&s->slots, slot) == 0 || told == LMMC_CLOSED) break;
    lmmc_decode_step(s, slot, id);
    out->steps++;
  }
  out->seconds = lmmc_clock() - out->first_token;
  text->count = 0;
  return lmmc_detokenize_end(&detokenizer, text, e) && sink->end(sink->context, text->bytes, text->count, e);
}

bool lmmc_generate(lmmc_session *s, int32_t slot, const lmmc_tokenizer *tokenizer, lmmc_sampler *sampler, int64_t max_tokens,
                   const lmmc_sink *sink, lmmc_generation *out, lmmc_error *e) {
  lmmc_text text = {0};
  *out = (lmmc_generation){0};
  bool done = run(s, slot, tokenizer, sampler, max_tokens, sink, &text, out, e);
  lmmc_text_free(&text);
  return done;
}
