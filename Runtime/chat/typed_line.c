#include "typed_line.h"

#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termcap.h>
#include <unistd.h>
#include <wchar.h>

#include "base/file.h"
#include "interruption.h"

struct lmmc_line_editor {
  EditLine *edit;
  History *history;
  const char *prompt;
};

enum { KEPT_LINES = 1000 };

// A terminal that knows of it tells what is pasted from what is typed, so that the line ends of a pasted text do not send parts of it.
#define PASTES_APART "\033[?2004h"
#define PASTES_AS_TYPED "\033[?2004l"
#define PASTE_ENDS L"\033[201~"

// ---- the editor

static char *prompt_of(EditLine *edit) {
  lmmc_line_editor *editor = NULL;
  el_get(edit, EL_CLIENTDATA, &editor);
  return (char *)editor->prompt;
}

// Whether the terminal can be told to move its cursor.
static bool can_edit(void) {
  const char *name = getenv("TERM");
  char strings[4096], *at = strings;
  return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && name && *name && strcmp(name, "dumb") != 0 && tgetent(NULL, name) == 1 &&
         tgetstr("cm", &at) && tgetstr("ce", &at);
}

// Characters are what the locale says; that of UTF-8 is part of the C library.
static bool reads_characters(void) {
  static const char *const names[] = {"C.UTF-8", "", "en_US.UTF-8"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (setlocale(LC_CTYPE, names[i]) && MB_CUR_MAX > 1) return true;
  return false;
}

static bool is_shown(wchar_t c) { return c == '\n' || c == '\t' || (c >= 0x20 && !(c >= 0x7F && c < 0xA0)); }

// All that is pasted goes into the line, but for controls and line ends at its end: nothing of it is a key.
static unsigned char paste(EditLine *edit, int key) {
  static const size_t end = sizeof PASTE_ENDS / sizeof(wchar_t) - 1;
  lmmc_text pasted = {0};
  bool done = true;
  (void)key;
  for (wchar_t c; done && pasted.count / sizeof c < LMMC_MOST_TYPED_BYTES && el_wgetc(edit, &c) == 1;) {
    if (c == '\r') c = '\n';
    done = lmmc_text_append(&pasted, &c, sizeof c, NULL);
    const size_t count = pasted.count / sizeof c;
    if (c != '~' || count < end) continue;
    if (wmemcmp((const wchar_t *)(void *)pasted.bytes + count - end, PASTE_ENDS, end) != 0) continue;
    pasted.count -= end * sizeof c;
    break;
  }
  const wchar_t *from = (const wchar_t *)(void *)pasted.bytes;
  wchar_t *shown = calloc(pasted.count / sizeof *shown + 1, sizeof *shown);
  size_t count = 0;
  for (size_t i = 0; shown && i < pasted.count / sizeof *from; i++)
    if (is_shown(from[i])) shown[count++] = from[i];
  while (count > 0 && shown[count - 1] == '\n') shown[--count] = 0;
  done = shown && count > 0 && el_winsertstr(edit, shown) == 0;
  free(shown);
  lmmc_text_free(&pasted);
  return done ? CC_REFRESH : CC_ERROR;
}

static lmmc_line_editor *open_editor(void) {
  HistEvent event;
  lmmc_line_editor *editor = can_edit() && reads_characters() ? calloc(1, sizeof *editor) : NULL;
  if (!editor) return NULL;
  editor->history = history_init();
  editor->edit = editor->history ? el_init("lmmc", stdin, stdout, stderr) : NULL;
  if (!editor->edit) {
    if (editor->history) history_end(editor->history);
    free(editor);
    return NULL;
  }
  history(editor->history, &event, H_SETSIZE, KEPT_LINES);
  history(editor->history, &event, H_SETUNIQUE, 1);
  el_set(editor->edit, EL_CLIENTDATA, editor);
  el_set(editor->edit, EL_EDITOR, "emacs");
  el_set(editor->edit, EL_PROMPT, prompt_of);
  el_set(editor->edit, EL_SIGNAL, 1);
  el_set(editor->edit, EL_HIST, history, editor->history);
  el_wset(editor->edit, EL_ADDFN, L"paste", L"take what is pasted as it is", paste);  // el_set would keep copies for ever
  el_set(editor->edit, EL_BIND, "\\e[200~", "paste", NULL);
  el_set(editor->edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
  el_set(editor->edit, EL_BIND, "^W", "ed-delete-prev-word", NULL);
  return editor;
}

// Lets the terminal tell what is pasted, or stops it; one that does not know of it passes over this.
static void tell_terminal(const char *text) { (void)lmmc_write(STDOUT_FILENO, text, strlen(text), "standard output", NULL); }

// What ends or stops the program while a line is edited; libedit hands each on to whoever had it before.
static const int leaving[] = {SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
enum { LEAVING = sizeof leaving / sizeof *leaving };

// The terminal is left as it was found. What stops the program lets it go on here.
static void leave(int number) {
  (void)!write(STDOUT_FILENO, PASTES_AS_TYPED, sizeof PASTES_AS_TYPED - 1);
  struct sigaction own;
  sigset_t one;
  sigaction(number, &(struct sigaction){.sa_handler = SIG_DFL}, &own);
  raise(number);
  sigemptyset(&one);
  sigaddset(&one, number);
  sigprocmask(SIG_UNBLOCK, &one, NULL);  // here it ends or stops
  sigaction(number, &own, NULL);
  (void)!write(STDOUT_FILENO, PASTES_APART, sizeof PASTES_APART - 1);
}

static void watch_leaving(struct sigaction before[LEAVING]) {
  for (int i = 0; i < LEAVING; i++) {
    sigaction(leaving[i], NULL, &before[i]);
    if (before[i].sa_handler == SIG_DFL) sigaction(leaving[i], &(struct sigaction){.sa_handler = leave}, NULL);
  }
}

static lmmc_typed_result edit_line(lmmc_line_editor *editor, const char *prompt, lmmc_text *line, lmmc_error *e) {
  int count = 0;
  HistEvent event;
  editor->prompt = prompt;
  lmmc_interrupted();  // one that came while nothing worked is not meant for this line
  struct sigaction before[LEAVING];
  watch_leaving(before);
  tell_terminal(PASTES_APART);
  const char *typed;
  int reason;
  do {
    errno = 0;
    typed = el_gets(editor->edit, &count);
    reason = errno;
  } while (!typed && reason == EINTR && !lmmc_interrupt_came());
  for (int i = 0; i < LEAVING; i++) sigaction(leaving[i], &before[i], NULL);
  tell_terminal(PASTES_AS_TYPED);
  if (lmmc_interrupted()) {
    const LineInfo *left = el_line(editor->edit);
    const bool was_empty = left->lastchar == left->buffer;
    tell_terminal("\n");
    return was_empty ? LMMC_TYPED_GOODBYE : LMMC_TYPED_INTERRUPT;
  }
  if (!typed || count <= 0) {
    tell_terminal("\n");
    if (count == 0 || reason == 0 || reason == EIO) return LMMC_TYPED_END;
    return lmmc_fail(e, 1, "standard input cannot be read: %s", lmmc_reason(reason).text), LMMC_TYPED_UNREADABLE;
  }
  size_t bytes = (size_t)count;
  if (bytes > 0 && typed[bytes - 1] == '\n') bytes--;
  if (bytes > 0) history(editor->history, &event, H_ENTER, typed);
  return lmmc_text_append(line, typed, bytes, e) ? LMMC_TYPED : LMMC_TYPED_UNREADABLE;
}

// ---- lines as they come

static lmmc_typed_result read_line(const lmmc_typed_lines *l, const char *prompt, lmmc_text *line, lmmc_error *e) {
  lmmc_interrupted();
  if (l->is_terminal) (void)lmmc_write(STDERR_FILENO, prompt, strlen(prompt), "standard error", NULL);
  int c;
  while ((c = getc(stdin)) != EOF && c != '\n') {
    if (line->count == LMMC_MOST_TYPED_BYTES)
      return lmmc_fail(e, 1, "a line on standard input is longer than %d bytes", LMMC_MOST_TYPED_BYTES), LMMC_TYPED_UNREADABLE;
    if (!lmmc_text_append(line, &(char){(char)c}, 1, e)) return LMMC_TYPED_UNREADABLE;
  }
  const int reason = errno;
  const bool failed = c == EOF && ferror(stdin);
  clearerr(stdin);
  if (lmmc_interrupted()) {
    line->count = 0;
    if (l->is_terminal) (void)lmmc_write(STDERR_FILENO, "\n", 1, "standard error", NULL);
    return LMMC_TYPED_GOODBYE;
  }
  if (failed && reason != EIO) return lmmc_fail(e, 1, "standard input cannot be read: %s", lmmc_reason(reason).text), LMMC_TYPED_UNREADABLE;
  if (c == EOF && line->count == 0) {
    if (l->is_terminal) (void)lmmc_write(STDERR_FILENO, "\n", 1, "standard error", NULL);
    return LMMC_TYPED_END;
  }
  if (line->count > 0 && line->bytes[line->count - 1] == '\r') line->count--;
  return LMMC_TYPED;
}

void lmmc_typed_lines_open(lmmc_typed_lines *l) {
  *l = (lmmc_typed_lines){.is_terminal = isatty(STDIN_FILENO)};
  l->editor = open_editor();
}

void lmmc_typed_lines_close(lmmc_typed_lines *l) {
  if (!l->editor) return;
  el_end(l->editor->edit);
  history_end(l->editor->history);
  free(l->editor);
  l->editor = NULL;
}

lmmc_typed_result lmmc_typed_next(lmmc_typed_lines *l, const char *prompt, lmmc_text *line, lmmc_error *e) {
  line->count = 0;
  return l->editor ? edit_line(l->editor, prompt, line, e) : read_line(l, prompt, line, e);
}
