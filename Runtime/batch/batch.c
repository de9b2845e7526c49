#include "batch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "answer_line.h"
#include "line_reader.h"
#include "progress.h"
#include "session/asking.h"
#include "system/threads.h"

// Lines that are read and not written yet, for each answer that may grow: enough that one long answer seldom stops the others, where the
// output keeps the order.
enum { LINES_AHEAD = 8, LEAST_AHEAD = 16 };
// And the bytes of such lines, behind which no other is read: one line may have 64 MiB.
#define BYTES_AHEAD (UINT64_C(128) << 20)

typedef struct batch batch;

typedef struct job {
  lmmc_request request;  // first: it is found by it
  batch *batch;
  struct job *next;
  lmmc_line line;
  uint64_t bytes;             // of its text
  lmmc_structure *structure;  // what the line says that the answer must be; NULL where it says nothing
  lmmc_structured structured;
  lmmc_batch_answer answer;
  lmmc_error error;
  lmmc_text out;
  bool is_done;
} job;

typedef struct {
  job *first, *last;
} job_list;

struct batch {
  lmmc_engine *engine;
  const lmmc_batch_settings *settings;
  lmmc_batch_output *output;

  // Between the threads, under the lock
  int stop;  // an event that wakes who waits for a line
  pthread_mutex_t lock;
  pthread_cond_t changed;
  job_list ready;       // read, and not begun
  int64_t outstanding;  // read, and not written
  uint64_t bytes;       // of those
  int64_t skipped;
  bool is_read, stops;
  lmmc_error read_error;

  // The engine's thread
  job_list begun;  // in the order of the input
  lmmc_progress progress;
  bool fails;  // with `*e` filled
  lmmc_error *e;
};

static void append(job_list *l, job *j) {
  j->next = NULL;
  *(l->last ? &l->last->next : &l->first) = j;
  l->last = j;
}

// ---- a job

static void empty(job *j) {
  lmmc_request_close(&j->request);
  lmmc_pictures_close(&j->request.pictures);
  lmmc_structured_close(&j->structured);
  lmmc_structure_release(j->batch->settings->structures, j->structure);
  j->structure = NULL;
  lmmc_kept_free(&j->answer.kept);
  j->request.pictures = (lmmc_pictures){0};
}

static void free_job(job *j) {
  empty(j);
  lmmc_line_free(&j->line);
  lmmc_text_free(&j->out);
  free(j);
}

static void write_error(job *j) {
  if (!lmmc_error_line(&j->out, &j->line, &j->error, j->batch->e)) j->batch->fails = true;
  j->is_done = true;
  j->batch->progress.refused++;
}

// The line is made, and nothing else of it is needed any more.
static void take_over(lmmc_request *r) {
  job *j = (job *)r;
  if (r->ending == LMMC_ENDED_BY_FAILURE || r->ending == LMMC_ENDED_BY_CANCEL) {
    j->error = r->error;
    write_error(j);
  } else {
    if (!lmmc_answer_line(&j->out, &j->line, r, &j->answer, j->batch->settings->model_id, j->batch->e)) j->batch->fails = true;
    j->is_done = true;
  }
  empty(j);
}

static bool build_prompt(job *j, const lmmc_model *m, const lmmc_tokenizer *t) {
  const lmmc_line *l = &j->line;
  lmmc_message *messages = l->message_count > 0 ? calloc((size_t)l->message_count, sizeof *messages) : NULL;
  if (l->message_count > 0 && !messages) return lmmc_fail(&j->error, 1, "out of memory for a conversation");
  for (int i = 0; i < l->message_count; i++) {
    const lmmc_line_message *from = &l->messages[i];
    messages[i] = (lmmc_message){.role = from->role, .text = from->text, .bytes = from->bytes, .images = from->images};
  }
  const lmmc_asking asking = {.system = j->batch->settings->defaults.system,
                              .messages = messages,
                              .message_count = l->message_count,
                              .text = l->prompt,
                              .bytes = l->prompt ? strlen(l->prompt) : 0,
                              .images = l->image_count,
                              .is_raw = l->is_raw,
                              .question = l->question};
  const bool done = lmmc_prompt_asked(&j->request.prompt, m, t, &asking, &j->error);
  free(messages);
  return done;
}

// What the line says that its answer must be, compiled.
static bool take_structure(job *j) {
  const lmmc_batch_settings *s = j->batch->settings;
  const lmmc_line *l = &j->line;
  lmmc_error why;
  if (!l->structure) return !s->structure || lmmc_sampler_restrict(&j->request.sampler, &j->error);
  j->structure = lmmc_structure_take(s->structures, l->notation, l->structure, strlen(l->structure), &why);
  if (!j->structure) return lmmc_fail(&j->error, why.code, "key '%s': %s", lmmc_line_structure_key(l->notation), why.message);
  return lmmc_sampler_restrict(&j->request.sampler, &j->error);
}

// The same for its tokens, by the thread that chooses them.
static bool begin_structure(job *j) {
  const lmmc_batch_settings *s = j->batch->settings;
  lmmc_structure *structure = j->structure ? j->structure : s->structure;
  if (!structure) return true;
  j->request.constraint = lmmc_structured_constraint(&j->structured);
  return lmmc_structured_open(&j->structured, s->structures, structure, &j->error);
}

// Who writes to a pipe may never do, and other lines wait behind this one.
static bool check_images(const lmmc_line *l, lmmc_error *e) {
  struct stat s;
  for (int i = 0; i < l->image_count; i++)
    if (stat(l->images[i], &s) == 0 && !S_ISREG(s.st_mode)) return lmmc_fail(e, 1, "'%s' is no regular file", l->images[i]);
  return true;
}

// All that can be done for a line before the engine.
static bool prepare(job *j) {
  const batch *b = j->batch;
  const lmmc_model *m = b->engine->session->model;
  const lmmc_tokenizer *t = b->engine->tokenizer;
  lmmc_request *r = &j->request;
  lmmc_error *e = &j->error;
  const lmmc_image_source source = {
      .files = (const char *const *)j->line.images, .file_count = j->line.image_count, .max_pixels = b->settings->max_image_pixels};
  r->max_tokens = j->line.max_tokens;
  r->stops = j->line.stops;
  r->stop_count = j->line.stop_count;
  r->sink = lmmc_keeping_sink(&j->answer.kept);
  r->ended = take_over;
  if (!build_prompt(j, m, t) || !lmmc_sampler_open(&r->sampler, m->vocabulary, &j->line.sampling, e) || !take_structure(j)) return false;
  const double began = lmmc_clock();
  bool done = check_images(&j->line, e) && lmmc_pictures_open(&r->pictures, m, r->prompt.images, e) &&
              lmmc_read_pictures(m, &source, &r->pictures, e);
  j->answer.preprocess = lmmc_clock() - began;
  return done;
}

// ---- the thread that reads

static bool is_blank(const char *text, size_t bytes) {
  while (bytes > 0 && memchr(" \t\r", text[bytes - 1], 3)) bytes--;
  return bytes == 0;
}

static void skip(batch *b) {
  pthread_mutex_lock(&b->lock);
  b->skipped++;
  pthread_mutex_unlock(&b->lock);
}

// A line as a job; NULL where the output has it, or none is left: then `*is_over`, maybe with `e` filled.
static job *next_job(batch *b, lmmc_line_reader *lines, bool *is_over, lmmc_error *e) {
  const char *text;
  size_t bytes;
  const int64_t number = lines->number;
  const lmmc_line_result result = lmmc_line_next(lines, &text, &bytes, e);
  *is_over = result == LMMC_NO_LINE || result == LMMC_LINE_FAILED;
  if (*is_over) return NULL;
  if (result == LMMC_LINE && is_blank(text, bytes)) return skip(b), NULL;
  job *j = calloc(1, sizeof *j);
  if (!j) return *is_over = true, lmmc_fail(e, 1, "out of memory for a line"), NULL;
  j->batch = b;
  if (result == LMMC_LINE_TOO_LONG) text = "", bytes = 0;
  j->bytes = bytes;
  bool done = lmmc_line_read(&j->line, text, bytes, number, &b->settings->defaults, &j->error);
  if (result == LMMC_LINE_TOO_LONG) lmmc_fail(&j->error, 2, "the line is longer than %d bytes", LMMC_MOST_LINE_BYTES);
  if (!j->line.id) return *is_over = true, *e = j->error, free_job(j), NULL;
  if (lmmc_batch_output_has(b->output, j->line.id)) {
    free_job(j);
    return skip(b), NULL;
  }
  if (done) done = prepare(j);
  if (done) j->error.code = 0;
  return j;
}

static void *read_lines(void *context) {
  batch *b = context;
  lmmc_threads_aside();
  const int64_t window = LEAST_AHEAD + (int64_t)LINES_AHEAD * b->settings->parallel;
  lmmc_line_reader lines = {.fd = b->settings->input, .stop = b->stop, .name = b->settings->input_name};
  lmmc_error e = {0};
  for (bool is_over = false; !is_over;) {
    job *j = next_job(b, &lines, &is_over, &e);
    pthread_mutex_lock(&b->lock);
    if (j) {
      append(&b->ready, j);
      b->outstanding++;
      b->bytes += j->bytes;
      pthread_cond_broadcast(&b->changed);
    }
    while ((b->outstanding >= window || b->bytes >= BYTES_AHEAD) && !b->stops) pthread_cond_wait(&b->changed, &b->lock);
    is_over = is_over || b->stops;
    pthread_mutex_unlock(&b->lock);
  }
  lmmc_line_reader_free(&lines);
  pthread_mutex_lock(&b->lock);
  b->is_read = true;
  b->read_error = e;
  pthread_cond_broadcast(&b->changed);
  pthread_mutex_unlock(&b->lock);
  return NULL;
}

// ---- the thread that answers

// What has been read goes to the engine; waits where there is nothing else to do. False when nothing more will come.
static bool begin_jobs(batch *b, bool is_idle) {
  pthread_mutex_lock(&b->lock);
  while (is_idle && !b->ready.first && !b->is_read) pthread_cond_wait(&b->changed, &b->lock);
  job *j = b->ready.first;
  b->ready = (job_list){0};
  b->progress.skipped = b->skipped;
  const bool comes = j || !b->is_read;
  pthread_mutex_unlock(&b->lock);
  for (job *next; j; j = next) {
    next = j->next;
    append(&b->begun, j);
    if (j->error.code || !begin_structure(j))
      write_error(j);
    else
      lmmc_engine_submit(b->engine, &j->request);
  }
  return comes;
}

// Whether a line before it, which is not written, has the same id: a run that goes on counts lines of an id from the first.
static bool waits_for_twin(const batch *b, const job *j) {
  for (const job *before = b->begun.first; before != j; before = before->next)
    if (strcmp(before->line.id, j->line.id) == 0) return true;
  return false;
}

// Writes what is done and whose turn it is; how many lines are left. Nobody reading any more ends the batch.
static bool write_jobs(batch *b) {
  job **at = &b->begun.first, *last = NULL;
  int64_t written = 0;
  uint64_t bytes = 0;
  bool done = true;
  while (*at && done) {
    job *j = *at;
    if (!j->is_done || waits_for_twin(b, j)) {
      if (!b->settings->unordered) break;
      last = j;
      at = &j->next;
      continue;
    }
    const lmmc_write_result result = lmmc_batch_output_write(b->output, j->out.bytes, j->out.count, b->e);
    done = result == LMMC_WRITTEN;
    *at = j->next;
    if (!j->next) b->begun.last = last;
    bytes += j->bytes;
    free_job(j);
    written++;
  }
  b->progress.done += written;
  if (written > 0) {
    pthread_mutex_lock(&b->lock);
    b->outstanding -= written;
    b->bytes -= bytes;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
  }
  return done;
}

static void stop(batch *b) {
  pthread_mutex_lock(&b->lock);
  b->stops = true;
  (void)!write(b->stop, &(uint64_t){1}, sizeof(uint64_t));
  pthread_cond_broadcast(&b->changed);
  pthread_mutex_unlock(&b->lock);
  for (job *j = b->begun.first; j; j = j->next)
    if (!j->is_done) lmmc_engine_cancel(b->engine, &j->request);
  while (lmmc_engine_turn(b->engine)) continue;
}

static void free_jobs(job_list *l) {
  for (job *j = l->first, *next; j; j = next) {
    next = j->next;
    free_job(j);
  }
}

bool lmmc_batch(lmmc_engine *engine, const lmmc_batch_settings *settings, lmmc_batch_output *output, lmmc_error *e) {
  batch b = {.engine = engine,
             .settings = settings,
             .output = output,
             .stop = eventfd(0, EFD_CLOEXEC),
             .lock = PTHREAD_MUTEX_INITIALIZER,
             .changed = PTHREAD_COND_INITIALIZER,
             .e = e};
  pthread_t reader;
  e->code = 0;
  lmmc_progress_start(&b.progress, settings->input);
  if (b.stop < 0 || pthread_create(&reader, NULL, read_lines, &b) != 0) {
    if (b.stop >= 0) close(b.stop);
    return lmmc_fail(e, 1, "no thread can be made that reads the lines");
  }
  bool is_idle = true, done = true;
  while (done && (begin_jobs(&b, is_idle) || b.begun.first)) {
    done = write_jobs(&b) && !b.fails;
    if (done) is_idle = !lmmc_engine_turn(engine);
    if (done) done = write_jobs(&b) && !b.fails;
    lmmc_progress_show(&b.progress);
  }
  if (!done) stop(&b);
  pthread_join(reader, NULL);
  close(b.stop);
  free_jobs(&b.begun);
  free_jobs(&b.ready);
  if (e->code == 0 && b.read_error.code) *e = b.read_error;
  lmmc_progress_end(&b.progress);
  return e->code == 0;
}
