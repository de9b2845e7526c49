#include "conversation.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/unfinished.h"
#include "session/asking.h"

static bool out_of_memory(lmmc_error *e) { return lmmc_fail(e, 1, "out of memory for a conversation"); }

static void free_said(lmmc_said *s) {
  lmmc_text_free(&s->text);
  lmmc_ids_free(&s->tokens);
}

// Room for `more` messages.
static bool reserve(lmmc_conversation *c, int more, lmmc_error *e) {
  if (c->room - c->count >= more) return true;
  const int room = 2 * c->room + more;
  lmmc_said *said = realloc(c->said, (size_t)room * sizeof *said);
  if (!said) return out_of_memory(e);
  c->said = said, c->room = room;
  return true;
}

bool lmmc_conversation_open(lmmc_conversation *c, const lmmc_model *model, const lmmc_tokenizer *tokenizer, const char *system,
                            lmmc_error *e) {
  *c = (lmmc_conversation){.model = model, .tokenizer = tokenizer};
  if (!lmmc_pictures_open(&c->pictures, model, 0, e) || !reserve(c, 2, e)) return false;
  if (!system) return true;
  lmmc_prompt trial = {0};
  c->said[c->count++] = (lmmc_said){.role = LMMC_SYSTEM};
  c->kept = 1;
  const bool done = lmmc_text_append(&c->said[0].text, system, strlen(system), e) && lmmc_conversation_prompt(c, "?", 1, &trial, e);
  lmmc_prompt_free(&trial);
  return done;
}

static void drop_pictures(lmmc_conversation *c, int count) {
  for (; count > 0; count--) free(c->files[--c->pictures.count]);
}

void lmmc_conversation_close(lmmc_conversation *c) {
  for (int i = 0; i < c->count; i++) free_said(&c->said[i]);
  drop_pictures(c, c->pictures.count);
  lmmc_pictures_close(&c->pictures);
  free(c->files);
  free(c->said);
  *c = (lmmc_conversation){0};
}

// ---- pictures

// Room for one more.
static bool reserve_picture(lmmc_conversation *c, lmmc_error *e) {
  lmmc_pictures *all = &c->pictures;
  const size_t count = (size_t)all->count + 1;
  uint8_t *pixels = realloc(all->pixels, count * all->bytes);
  if (pixels) all->pixels = pixels;
  void *bars = realloc(all->bars, count * sizeof *all->bars);
  if (bars) all->bars = bars;
  char **files = realloc(c->files, count * sizeof *files);
  if (files) c->files = files;
  return (pixels && bars && files) || out_of_memory(e);
}

static bool read_picture(lmmc_conversation *c, const char *file, int64_t max_pixels, lmmc_error *e) {
  lmmc_pictures *all = &c->pictures, one;
  const lmmc_image_source source = {.files = &file, .file_count = 1, .max_pixels = max_pixels};
  char *name = strdup(file);
  bool done = (name || out_of_memory(e)) && reserve_picture(c, e) && lmmc_pictures_open(&one, c->model, 1, e);
  if (done) {
    done = lmmc_read_pictures(c->model, &source, &one, e);
    if (done) {
      memcpy(all->pixels + all->bytes * (size_t)all->count, one.pixels, all->bytes);
      memcpy(all->bars[all->count], one.bars[0], sizeof *all->bars);
      c->files[all->count++] = name;
      name = NULL;
    }
    lmmc_pictures_close(&one);
  }
  free(name);
  return done;
}

bool lmmc_conversation_show(lmmc_conversation *c, const char *file, int64_t max_pixels, lmmc_error *e) {
  if (c->model->vision_tokens == 0) return lmmc_fail(e, 2, "this program has no vision tower and takes no images");
  // Whether there may be one more is known before it is read.
  lmmc_prompt trial = {0};
  c->waiting++;
  bool done = lmmc_conversation_prompt(c, "?", 1, &trial, e);
  lmmc_prompt_free(&trial);
  done = done && read_picture(c, file, max_pixels, e);
  if (!done) c->waiting--;
  return done;
}

void lmmc_conversation_hide(lmmc_conversation *c) {
  drop_pictures(c, c->waiting);
  c->waiting = 0;
}

// ---- questions and answers

bool lmmc_conversation_prompt(const lmmc_conversation *c, const char *question, size_t bytes, lmmc_prompt *p, lmmc_error *e) {
  lmmc_message *messages = calloc((size_t)c->count + 1, sizeof *messages);
  if (!messages) return out_of_memory(e);
  for (int i = 0; i < c->count; i++) {
    const lmmc_said *s = &c->said[i];
    messages[i] = (lmmc_message){.role = s->role,
                                 .text = s->text.count > 0 ? s->text.bytes : "",
                                 .bytes = s->text.count,
                                 .tokens = s->role == LMMC_ASSISTANT && !s->is_cut_text ? &s->tokens : NULL,
                                 .images = s->images};
  }
  messages[c->count] = (lmmc_message){.role = LMMC_USER, .text = question, .bytes = bytes, .images = c->waiting};
  const lmmc_asking asking = {.messages = messages, .message_count = c->count + 1};
  const bool done = lmmc_prompt_asked(p, c->model, c->tokenizer, &asking, e);
  free(messages);
  return done;
}

bool lmmc_conversation_add(lmmc_conversation *c, const char *question, size_t bytes, lmmc_said *answer, lmmc_error *e) {
  lmmc_said asked = {.role = LMMC_USER, .images = c->waiting};
  if (!reserve(c, 2, e) || !lmmc_text_append(&asked.text, question, bytes, e)) {
    free_said(&asked);
    return false;
  }
  answer->role = LMMC_ASSISTANT;
  c->said[c->count++] = asked;
  c->said[c->count++] = *answer;
  *answer = (lmmc_said){0};
  c->waiting = 0;
  return true;
}

bool lmmc_conversation_undo(lmmc_conversation *c) {
  if (c->count == c->kept) return false;
  lmmc_conversation_hide(c);
  drop_pictures(c, c->said[c->count - 2].images);
  for (int i = 0; i < 2; i++) free_said(&c->said[--c->count]);
  return true;
}

void lmmc_conversation_reset(lmmc_conversation *c) {
  lmmc_conversation_hide(c);
  while (lmmc_conversation_undo(c)) continue;
}

// ---- a file of it

static bool append_text(lmmc_text *out, const lmmc_text *text, lmmc_error *e) { return lmmc_json_string(out, text->bytes, text->count, e); }

// A user's message, whose pictures are the `images` of these.
static bool append_parts(lmmc_text *out, const lmmc_said *s, char *const *files, lmmc_error *e) {
  bool done = lmmc_text_append(out, "[", 1, e);
  for (int i = 0; done && i < s->images; i++)
    done = lmmc_text_format(out, e, "{\"type\": \"image_url\", \"image_url\": {\"url\": ") &&
           lmmc_json_string(out, files[i], strlen(files[i]), e) && lmmc_text_format(out, e, "}}, ");
  return done && lmmc_text_format(out, e, "{\"type\": \"text\", \"text\": ") && append_text(out, &s->text, e) &&
         lmmc_text_append(out, "}]", 2, e);
}

static bool append_messages(lmmc_text *out, const lmmc_conversation *c, lmmc_error *e) {
  static const char *const roles[] = {[LMMC_SYSTEM] = "system", [LMMC_USER] = "user", [LMMC_ASSISTANT] = "assistant"};
  bool done = lmmc_text_format(out, e, "{\"messages\": [");
  char *const *files = c->files;
  for (int i = 0; done && i < c->count; i++) {
    const lmmc_said *s = &c->said[i];
    done = lmmc_text_format(out, e, "%s{\"role\": \"%s\", \"content\": ", i ? ", " : "", roles[s->role]) &&
           (s->images > 0 ? append_parts(out, s, files, e) : append_text(out, &s->text, e)) && lmmc_text_append(out, "}", 1, e);
    files += s->images;
  }
  return done && lmmc_text_append(out, "]}\n", 3, e);
}

bool lmmc_conversation_save(const lmmc_conversation *c, const char *path, lmmc_error *e) {
  lmmc_text text = {0};
  lmmc_unfinished file;
  bool done = append_messages(&text, c, e) && lmmc_unfinished_open(&file, path, e);
  if (done) {
    done = lmmc_unfinished_write(&file, text.bytes, text.count, e) && lmmc_unfinished_finish(&file, e);
    lmmc_unfinished_discard(&file);
  }
  lmmc_text_free(&text);
  return done;
}
