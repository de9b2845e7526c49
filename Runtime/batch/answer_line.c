#include "answer_line.h"

#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "contract/program.h"
#include "session/white_space.h"

// The same for the same question and program, in whatever run it is asked: 22 characters, as shortuuid's are.
static bool append_answer_id(lmmc_text *out, const lmmc_line *line, const char *model_id, lmmc_error *e) {
  static const char digits[] = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
  lmmc_keyed_hash h;
  lmmc_hash_begin(&h, (uint64_t[]){0, 0});
  const char *const parts[] = {line->id, line->prompt, model_id, lmmc_program.version, lmmc_program.info};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) lmmc_hash_add(&h, parts[i], strlen(parts[i]) + 1);
  const lmmc_hash_value value = lmmc_hash_end(&h);
  unsigned __int128 rest = (unsigned __int128)value.words[1] << 64 | value.words[0];
  char text[22];
  for (size_t i = 0; i < sizeof text; i++, rest /= sizeof digits - 1) text[i] = digits[rest % (sizeof digits - 1)];
  return lmmc_text_append(out, text, sizeof text, e);
}

static bool append_text(lmmc_text *out, const char *key, const char *bytes, size_t count, lmmc_error *e) {
  return lmmc_text_format(out, e, ", \"%s\": ", key) && lmmc_json_string(out, bytes, count, e);
}

// LLaVA's answers have no white space around them, and some of its scorers compare them as they are.
static bool question_line(lmmc_text *out, const lmmc_line *line, const lmmc_batch_answer *answer, const char *model_id, lmmc_error *e) {
  const char *text = answer->kept.text.bytes;
  size_t count = answer->kept.text.count, n;
  while ((n = lmmc_white_space(text, count, false)) > 0) text += n, count -= n;
  while ((n = lmmc_white_space(text, count, true)) > 0) count -= n;
  return lmmc_text_format(out, e, "{\"question_id\": %s", line->id) && append_text(out, "prompt", line->prompt, strlen(line->prompt), e) &&
         append_text(out, "text", text, count, e) && lmmc_text_format(out, e, ", \"answer_id\": \"") &&
         append_answer_id(out, line, model_id, e) && lmmc_text_append(out, "\"", 1, e) &&
         append_text(out, "model_id", model_id, strlen(model_id), e) && lmmc_text_format(out, e, ", \"metadata\": {}}\n");
}

bool lmmc_answer_line(lmmc_text *out, const lmmc_line *line, const lmmc_request *r, const lmmc_batch_answer *answer, const char *model_id,
                      lmmc_error *e) {
  if (line->is_question) return question_line(out, line, answer, model_id, e);
  const struct {
    const char *name;
    double seconds;
  } times[] = {
      {"preprocess", answer->preprocess},
      {"vision", r->vision},
      {"project", r->project},
      {"prefill", r->prefill},
      {"decode", r->answer.made.seconds},
      {"time_to_first_token", r->answer.made.first_token - r->begun},
  };
  bool done =
      lmmc_text_format(out, e, "{\"id\": %s", line->id) && append_text(out, "text", answer->kept.text.bytes, answer->kept.text.count, e) &&
      lmmc_text_format(out, e, ", \"tokens\": ") && lmmc_json_ids(out, answer->kept.tokens.values, answer->kept.tokens.count, e) &&
      lmmc_text_format(out, e,
                       ", \"finish_reason\": \"%s\", \"prompt_tokens\": %" PRId32 ", \"visual_tokens\": %" PRId32 ", \"timings\": {",
                       r->answer.made.stopped ? "stop" : "length", r->prompt.text_tokens,
                       r->prompt.visual_tokens - r->prompt.images * r->answer.model->prefused_rows);
  for (size_t i = 0; done && i < sizeof times / sizeof *times; i++)
    done = lmmc_text_format(out, e, "%s\"%s\": %.3f", i ? ", " : "", times[i].name, times[i].seconds * 1e3);
  return done && lmmc_text_append(out, "}}\n", 3, e);
}

bool lmmc_error_line(lmmc_text *out, const lmmc_line *line, const lmmc_error *why, lmmc_error *e) {
  return lmmc_text_format(out, e, "{\"%s\": %s, \"error\": {\"message\": ", line->is_question ? "question_id" : "id", line->id) &&
         lmmc_json_string(out, why->message, strlen(why->message), e) && lmmc_text_format(out, e, ", \"code\": %d}}\n", why->code);
}
