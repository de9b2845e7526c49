#include "chat.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/printable.h"
#include "conversation.h"
#include "exchange.h"
#include "interruption.h"
#include "typed_message.h"

typedef struct {
  lmmc_conversation conversation;
  lmmc_exchange exchange;
  lmmc_typed_lines lines;
  const lmmc_chat_settings *settings;
  bool ends, is_lost;  // of its own accord, or since nothing can be read
} chat;

// ---- commands

typedef struct {
  const char *name, *argument, *help;
  bool (*run)(chat *c, const char *argument, lmmc_error *e);
} command;

// The name of a file, as a terminal writes one that is dropped into it: between quotes, maybe of the home.
static bool read_path(const char *argument, char path[PATH_MAX], lmmc_error *e) {
  size_t length = strlen(argument);
  const char *home = argument[0] == '~' && argument[1] == '/' ? getenv("HOME") : NULL;
  const bool is_quoted = length >= 2 && strchr("'\"", argument[0]) && argument[length - 1] == argument[0];
  if (is_quoted) argument++, length -= 2;
  if (home) argument++, length--;
  const int bytes = snprintf(path, PATH_MAX, "%s%.*s", home ? home : "", (int)length, argument);
  return (bytes > 0 && bytes < PATH_MAX) || lmmc_fail(e, 2, "the name of the file is too long");
}

static bool show_image(chat *c, const char *argument, lmmc_error *e) {
  char path[PATH_MAX], name[256];
  lmmc_conversation *said = &c->conversation;
  if (!read_path(argument, path, e) || !lmmc_conversation_show(said, path, c->settings->max_image_pixels, e)) return false;
  lmmc_printable(name, sizeof name, path);
  if (c->lines.is_terminal) fprintf(stderr, "(%s goes with the next question)\n", name);
  return true;
}

static bool reset(chat *c, const char *argument, lmmc_error *e) {
  (void)argument, (void)e;
  lmmc_conversation_reset(&c->conversation);
  if (c->lines.is_terminal) fprintf(stderr, "(a new conversation)\n");
  return true;
}

static bool undo(chat *c, const char *argument, lmmc_error *e) {
  (void)argument;
  lmmc_conversation *said = &c->conversation;
  if (said->waiting > 0) {
    lmmc_conversation_hide(said);
    if (c->lines.is_terminal) fprintf(stderr, "(the images that waited for a question are taken back)\n");
    return true;
  }
  if (!lmmc_conversation_undo(said)) return lmmc_fail(e, 2, "nothing was said that '/undo' could take back");
  if (c->lines.is_terminal) fprintf(stderr, "(the last question and its answer are taken back)\n");
  return true;
}

static bool save(chat *c, const char *argument, lmmc_error *e) {
  char path[PATH_MAX], name[256];
  if (!read_path(argument, path, e) || !lmmc_conversation_save(&c->conversation, path, e)) return false;
  lmmc_printable(name, sizeof name, path);
  if (c->lines.is_terminal) fprintf(stderr, "(%s has the conversation)\n", name);
  return true;
}

static const char *plural(int64_t count) { return count == 1 ? "" : "s"; }

static bool show_counts(chat *c, const char *argument, lmmc_error *e) {
  (void)argument, (void)e;
  const lmmc_chat_counts *last = &c->exchange.last, *all = &c->exchange.all;
  const lmmc_conversation *said = &c->conversation;
  const int exchanges = (said->count - said->kept) / 2, images = said->pictures.count;
  fprintf(stderr, "conversation: %d question%s, %d image%s, of the context of %" PRId32 " tokens the last question used %" PRId64 "\n",
          exchanges, plural(exchanges), images, plural(images), said->model->context, last->held);
  fprintf(stderr, "last prompt: %" PRId64 " tokens, %" PRId64 " shared, %" PRId64 " prefilled, %" PRId64 " image%s encoded\n", last->prompt,
          last->shared, last->prompt - last->shared, last->encoded, plural(last->encoded));
  fprintf(stderr, "last answer: %" PRId64 " token%s, the first after %.1f ms, %.1f tokens/s\n", last->answered, plural(last->answered),
          last->first * 1e3, last->answering > 0 ? (double)last->steps / last->answering : 0);
  fprintf(stderr,
          "since the start: %" PRId64 " question%s, %" PRId64 " tokens shared, %" PRId64 " prefilled, %" PRId64 " image%s encoded, %" PRId64
          " token%s answered\n",
          all->questions, plural(all->questions), all->shared, all->prompt - all->shared, all->encoded, plural(all->encoded), all->answered,
          plural(all->answered));
  return true;
}

static bool quit(chat *c, const char *argument, lmmc_error *e) {
  (void)argument, (void)e;
  c->ends = true;
  return true;
}

static bool help(chat *c, const char *argument, lmmc_error *e);

static const command commands[] = {
    {"/image", "FILE", "show an image with the next question; several may wait for it", show_image},
    {"/undo", NULL, "take back images that wait, or else the last question and its answer", undo},
    {"/reset", NULL, "begin a new conversation", reset},
    {"/save", "FILE", "write the conversation to a file, as OpenAI's API has messages, in JSON", save},
    {"/stats", NULL, "say what was prefilled, shared and encoded, and how fast", show_counts},
    {"/help", NULL, "print this", help},
    {"/quit", NULL, "end, as Ctrl-D does", quit},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static bool help(chat *c, const char *argument, lmmc_error *e) {
  (void)c, (void)argument, (void)e;
  for (int i = 0; i < COMMANDS; i++)
    fprintf(stderr, "  %-6s %-5s %s\n", commands[i].name, commands[i].argument ? commands[i].argument : "", commands[i].help);
  fprintf(stderr,
          "A line that ends in \\ goes on in the next; what begins with \"\"\" ends with a line that ends in \"\"\".\n"
          "A space before a slash makes it words. Ctrl-C stops an answer, Ctrl-D ends.\n");
  return true;
}

static bool unknown(const char *line, size_t length, lmmc_error *e) {
  char names[128] = "";
  size_t at = 0;
  for (int i = 0; i < COMMANDS; i++)
    at += (size_t)snprintf(names + at, sizeof names - at, "%s'%s'", i == 0 ? "" : i + 1 < COMMANDS ? ", " : " and ", commands[i].name);
  return lmmc_fail(e, 2, "there is no command '%.*s', those that there are: %s", length < 40 ? (int)length : 40, line, names);
}

static bool run_command(chat *c, char *line, lmmc_error *e) {
  const size_t length = strcspn(line, " \t");
  char *argument = line + length + strspn(line + length, " \t");
  for (size_t end = strlen(argument); end > 0 && strchr(" \t", argument[end - 1]);) argument[--end] = 0;
  for (int i = 0; i < COMMANDS; i++) {
    const command *k = &commands[i];
    if (strlen(k->name) != length || memcmp(k->name, line, length) != 0) continue;
    if (k->argument && !*argument) return lmmc_fail(e, 2, "command '%s' wants the name of a file behind it", k->name);
    if (!k->argument && *argument) return lmmc_fail(e, 2, "command '%s' takes nothing behind it", k->name);
    return k->run(c, argument, e);
  }
  return unknown(line, length, e);
}

// ---- the conversation

// What is typed or piped next. False where it is wrong.
static bool next(chat *c, lmmc_text *message, lmmc_error *e) {
  char prompt[32] = "> ";
  const int waiting = c->conversation.waiting;
  if (waiting > 0) snprintf(prompt, sizeof prompt, "(%d image%s) > ", waiting, plural(waiting));
  switch (lmmc_typed_message(&c->lines, prompt, message, e)) {
    case LMMC_SAYS_NOTHING:
    case LMMC_SAYS_INTERRUPT: return true;
    case LMMC_SAYS_END: return c->ends = true;
    case LMMC_SAYS_GOODBYE: fprintf(stderr, "(Ctrl-D ends, '/help' lists the commands)\n"); return true;
    case LMMC_SAYS_FAILURE: c->is_lost = e->code == 1; return false;
    case LMMC_SAYS_WORDS: return lmmc_exchange_ask(&c->exchange, message->bytes, message->count, e);
    case LMMC_SAYS_COMMAND: break;
  }
  return lmmc_text_append(message, "", 1, e) && run_command(c, message->bytes, e);
}

static bool begin(chat *c, lmmc_error *e) {
  const lmmc_chat_settings *s = c->settings;
  for (int i = 0; i < s->image_count; i++)
    if (!lmmc_conversation_show(&c->conversation, s->images[i], s->max_image_pixels, e)) return false;
  return !s->first || lmmc_exchange_ask(&c->exchange, s->first, strlen(s->first), e);
}

static void say_error(const lmmc_error *e) { fprintf(stderr, "error: %s\n", e->message); }

static bool talk(chat *c, lmmc_error *e) {
  lmmc_text message = {0};
  bool done = true;
  if (c->lines.is_terminal) fprintf(stderr, "'/help' lists the commands, Ctrl-C stops an answer, Ctrl-D ends\n");
  // What the command line has wrong ends it on a terminal too.
  done = begin(c, e);
  while (done && !c->ends && !c->exchange.is_closed) {
    done = next(c, &message, e);
    if (done || c->is_lost || !c->lines.is_terminal) continue;
    say_error(e);
    done = true;
  }
  lmmc_text_free(&message);
  return done;
}

bool lmmc_chat(lmmc_engine *engine, const lmmc_chat_settings *settings, lmmc_error *e) {
  chat c = {.settings = settings};
  if (!lmmc_conversation_open(&c.conversation, engine->session->model, engine->tokenizer, settings->system, e)) {
    lmmc_conversation_close(&c.conversation);
    return false;
  }
  lmmc_typed_lines_open(&c.lines);
  if (c.lines.is_terminal) lmmc_interruption_watch();
  c.exchange =
      (lmmc_exchange){.engine = engine, .settings = settings, .conversation = &c.conversation, .to_terminal = isatty(STDOUT_FILENO)};
  const bool done = talk(&c, e);
  lmmc_typed_lines_close(&c.lines);
  lmmc_conversation_close(&c.conversation);
  return done;
}
