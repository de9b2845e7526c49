#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "program/attachment.h"
#include "bench.h"
#include "fold.h"
#include "program/integrity.h"
#include "program/levels.h"
#include "contract/program.h"
#include "system/memory.h"
#include "options.h"
#include "base/file.h"
#include "base/json.h"
#include "base/unfinished.h"
#include "base/text.h"
#include "perplexity.h"
#include "session/asking.h"
#include "answer.h"
#include "answer_batch.h"
#include "answer_chat.h"
#include "answer_serve.h"
#include "answer_several.h"
#include "program/arithmetic.h"
#include "system/stack.h"
#include "session/steps.h"
#include "system/threads.h"
#include "tokenizer/tokenizer.h"

static bool print(const lmmc_text *t, lmmc_error *e) {
  return lmmc_write(STDOUT_FILENO, t->bytes, t->count, "standard output", e) != LMMC_WRITE_FAILED;
}

// The compiler's JSON object with one more member, "runtime".
static bool print_info(const lmmc_options *o, lmmc_error *e) {
  lmmc_threads t = lmmc_threads_plan((int)o->threads);
  const char *info = lmmc_program.info, *end = strrchr(info, '}');
  const char *core = lmmc_arithmetic_core();
  uint64_t attached;
  const lmmc_memory memory = {.weights = lmmc_attachment(&attached)};
  lmmc_prefix prefix = {0};
  if (attached == lmmc_program.attachment_bytes && !lmmc_prefix_open(&prefix, &lmmc_program, &memory, e)) return false;
  size_t length = end ? (size_t)(end - info) : 0;
  while (length > 0 && strchr(" \n\t\r", info[length - 1])) length--;
  bool empty = length == 0 || info[length - 1] == '{';
  lmmc_text out = {0};
  bool done =
      lmmc_text_append(&out, info, length, e) && (length > 0 || lmmc_text_append(&out, "{", 1, e)) &&
      lmmc_text_format(&out, e,
                       "%s\"runtime\": {\"attached_bytes\": %" PRIu64 ", \"arena_bytes\": %" PRIu64
                       ", \"threads\": %d, \"cpus\": %d, \"cpu_quota\": %.3g, \"pinned\": %s, \"blas_core\": ",
                       empty ? "" : ", ", attached, lmmc_program.arena_bytes, t.threads, t.cpus, t.quota, t.pinned ? "true" : "false") &&
      (core ? lmmc_json_string(&out, core, strlen(core), e) : lmmc_text_append(&out, "null", 4, e)) &&
      lmmc_text_format(&out, e, ", \"level\": \"%s\", \"folded_prefix_tokens\": %" PRId64 ", ", lmmc_level_in_use()->name, prefix.count) &&
      lmmc_arithmetic_json(&out, e) && lmmc_text_append(&out, "}}\n", 3, e) && print(&out, e);
  lmmc_text_free(&out);
  return done;
}

static bool open_tokenizer(lmmc_tokenizer *t, lmmc_memory *memory, lmmc_error *e) {
  const lmmc_model *m = &lmmc_program;
  memory->weights = lmmc_attachment_open(m->attachment_bytes, e);
  if (!memory->weights) return false;
  if (m->sums_offset && !lmmc_check_sample(memory->weights, m->attachment_bytes, m->sums_offset, lmmc_attachment_place(memory->weights), e))
    return false;
  if (m->tokenizer_offset > m->attachment_bytes || m->tokenizer_bytes > m->attachment_bytes - m->tokenizer_offset)
    return lmmc_fail(e, 1, "tokenizer: it does not lie within the %" PRIu64 " attached bytes", m->attachment_bytes);
  if (!lmmc_tokenizer_open(t, memory->weights + m->tokenizer_offset, m->tokenizer_bytes, e)) return false;
  if (t->pieces > (uint32_t)m->vocabulary)
    return lmmc_fail(e, 1, "tokenizer: it has %" PRIu32 " pieces, more than the model's vocabulary of %" PRId32, t->pieces, m->vocabulary);
  return true;
}

static bool print_check(const lmmc_options *o, lmmc_error *e) {
  const lmmc_model *m = &lmmc_program;
  const uint8_t *attached = lmmc_attachment_open(m->attachment_bytes, e);
  if (!attached) return false;
  if (!m->sums_offset) return lmmc_fail(e, 1, "this program has no sums to check its bytes by");
  lmmc_threads_start((int)o->threads);
  lmmc_text out = {0};
  bool done = lmmc_check_all(attached, m->attachment_bytes, m->sums_offset, lmmc_attachment_place(attached), e) &&
              lmmc_text_format(&out, e, "%" PRIu64 " bytes are as they were compiled\n", m->attachment_bytes) && print(&out, e);
  lmmc_text_free(&out);
  return done;
}

static bool print_ids(const char *text, lmmc_error *e) {
  lmmc_tokenizer tokenizer;
  lmmc_memory memory;
  lmmc_ids ids = {0};
  lmmc_text out = {0};
  bool done = open_tokenizer(&tokenizer, &memory, e) && lmmc_tokenize(&tokenizer, text, strlen(text), &ids, e) &&
              lmmc_json_ids(&out, ids.values, ids.count, e) && lmmc_text_append(&out, "\n", 1, e) && print(&out, e);
  lmmc_ids_free(&ids);
  lmmc_text_free(&out);
  return done;
}

// Bytes that a prompt on standard input may have: far more than tokens are long on average, so that what fits the context is read, and an
// endless input ends.
enum { PROMPT_BYTES = 1 << 20, POSITION_BYTES = 64 };

// All of standard input, without the newline that ends its last line.
static bool read_prompt(lmmc_text *t, int32_t context, lmmc_error *e) {
  const size_t most = PROMPT_BYTES + POSITION_BYTES * (size_t)context;
  const lmmc_read_result r = lmmc_read_all(STDIN_FILENO, most, t, "standard input", e);
  if (r == LMMC_TOO_LONG)
    lmmc_fail(e, 1, "the prompt on standard input is longer than %zu bytes, and the context of this program is %" PRId32 " tokens", most,
              context);
  if (r != LMMC_READ) return false;
  if (t->count > 0 && t->bytes[t->count - 1] == '\n') t->count--;
  if (t->count > 0 && t->bytes[t->count - 1] == '\r') t->count--;
  return t->count > 0 || lmmc_fail(e, 2, "no prompt, '--prompt' is not given and standard input is empty");
}

// The program as `--context` leaves it.
static bool shorten(lmmc_model *m, const lmmc_options *o, lmmc_error *e) {
  *m = lmmc_program;
  if (o->context == 0) return true;
  if (o->context > m->context)
    return lmmc_fail(e, 2, "option '--context' wants at most the context of this program, %" PRId32 ", not %" PRId64, m->context,
                     o->context);
  lmmc_memory_shorten(m, (int32_t)o->context);
  return true;
}

// The arena and the threads; nothing that a failure leaves behind.
static bool start(lmmc_memory *memory, const lmmc_model *m, const lmmc_options *o, lmmc_memory_use use, lmmc_error *e) {
  const int threads = lmmc_threads_plan((int)o->threads).threads;
  if (o->decode_threads > threads)
    return lmmc_fail(e, 2, "option '--decode-threads' wants at most the threads in use, %d, not %" PRId64, threads, o->decode_threads);
  if (o->sequences > m->sequences)
    return lmmc_fail(e, 2, "option '--sequences' wants at most the sequences of this program, %" PRId32 ", not %" PRId64, m->sequences,
                     o->sequences);
  if (!lmmc_memory_open(memory, m, o->mlock, use, e)) return false;
  if (!lmmc_threads_room(threads, e)) {
    lmmc_memory_close(memory, m);
    return false;
  }
  lmmc_threads_start((int)o->threads);
  return true;
}

// What is asked where a measurement is given no prompt.
static const char question[] = "Describe what there is to see, from the left to the right, and say what stands out the most.";

// Whether an image and a prompt that are not given are those that are built in.
static bool has_built_in(const lmmc_options *o) { return o->mode == LMMC_MODE_BENCH || o->dump_tensors; }

static bool answer(const lmmc_options *o, lmmc_error *e) {
  lmmc_model model;
  lmmc_memory memory = {0};
  lmmc_tokenizer tokenizer;
  lmmc_prompt prompt = {0};
  lmmc_answer_structures structures = {0};
  lmmc_text typed = {0};
  const char *text = o->raw_prompt ? o->raw_prompt : o->prompt;
  if (!shorten(&model, o, e)) return false;
  lmmc_image_source images = {.files = o->images,
                              .file_count = o->image_count,
                              .has_built_in = !text && has_built_in(o) && model.vision_tokens > 0,
                              .max_pixels = o->max_image_pixels};
  if (!text && has_built_in(o)) text = question;
  bool done = text || read_prompt(&typed, model.context, e);
  if (done) {
    const lmmc_asking asking = {.system = o->system,
                                .text = text ? text : typed.bytes,
                                .bytes = text ? strlen(text) : typed.count,
                                .images = lmmc_image_count(&images),
                                .is_raw = o->raw_prompt != NULL,
                                .question = o->question};
    done = open_tokenizer(&tokenizer, &memory, e) && lmmc_prompt_asked(&prompt, &model, &tokenizer, &asking, e);
    if (done && o->notation != LMMC_NO_NOTATION) done = lmmc_answer_structures_open(&structures, &model, memory.weights, o, e);
  }
  const int64_t count = (int64_t)prompt.tokens.count, length = o->prompt_tokens > count ? o->prompt_tokens : count;
  lmmc_memory_use use = {length + o->max_tokens, o->sequences, prompt.images, 0};
  if (o->answers > 1) use.sequences = o->answers < model.sequences ? o->answers : model.sequences;
  // --bench of several also prefills a prompt that is as long as all of them in one slot, where that has room.
  if (o->sequences > 1 && o->sequences * length <= model.context) use.longest = o->sequences * length;
  if (done && (done = start(&memory, &model, o, use, e))) {
    done = o->mode == LMMC_MODE_BENCH ? lmmc_bench(&model, &memory, o, &images, &prompt, e)
           : o->answers > 1           ? lmmc_answer_several(&model, &memory, &tokenizer, o, &images, &prompt, &structures, e)
                                      : lmmc_run(&model, &memory, &tokenizer, o, &images, &prompt, &structures, e);
    lmmc_memory_close(&memory, &model);
  }
  lmmc_answer_structures_close(&structures);
  lmmc_prompt_free(&prompt);
  lmmc_text_free(&typed);
  return done;
}

// What is wrong with the options is so of every request.
static bool check_defaults(const lmmc_model *m, const lmmc_options *o, lmmc_error *e) {
  if (o->system && !m->prompt.system_start) return lmmc_fail(e, 2, "option '--system': this program's template takes no system text");
  lmmc_sampler sampler = {0};
  const bool done = lmmc_sampler_open(&sampler, m->vocabulary, &o->sampling, e);
  lmmc_sampler_close(&sampler);
  return done;
}

// Those that answer many requests, with as many slots as there is room for.
static bool many(const lmmc_options *o, const char *program, lmmc_error *e) {
  lmmc_model model;
  lmmc_memory memory = {0};
  lmmc_tokenizer tokenizer;
  if (o->mode == LMMC_MODE_SERVE && !lmmc_answer_serve) return lmmc_fail(e, 2, "this program was compiled without the server");
  if (!shorten(&model, o, e) || !open_tokenizer(&tokenizer, &memory, e)) return false;
  if (o->parallel > model.sequences)
    return lmmc_fail(e, 2, "option '--parallel' wants at most the sequences of this program, %" PRId32 ", not %" PRId64, model.sequences,
                     o->parallel);
  const char *limit;
  const lmmc_memory_use most = {model.context, model.sequences, model.max_images, 0};
  const int64_t parallel = o->parallel > 0 ? o->parallel : lmmc_memory_sequences(&model, most, lmmc_memory_available("", &limit));
  lmmc_answer_structures structures = {0};
  bool done = lmmc_answer_structures_open(&structures, &model, memory.weights, o, e);
  const char *slash = strrchr(program, '/'), *name = slash ? slash + 1 : program;
  if (done && (done = start(&memory, &model, o, (lmmc_memory_use){model.context, parallel, model.max_images, 0}, e))) {
    done = check_defaults(&model, o, e) && (o->mode == LMMC_MODE_SERVE ? lmmc_answer_serve : lmmc_answer_batch)(
                                               &model, &memory, &tokenizer, o, &structures, (int32_t)parallel, name, e);
    lmmc_memory_close(&memory, &model);
  }
  lmmc_answer_structures_close(&structures);
  return done;
}

static bool chat(const lmmc_options *o, lmmc_error *e) {
  lmmc_model model;
  lmmc_memory memory = {0};
  lmmc_tokenizer tokenizer;
  if (!shorten(&model, o, e) || !open_tokenizer(&tokenizer, &memory, e) ||
      !start(&memory, &model, o, (lmmc_memory_use){model.context, 1, model.max_images, 0}, e))
    return false;
  bool done = lmmc_answer_chat(&model, &memory, &tokenizer, o, e);
  lmmc_memory_close(&memory, &model);
  return done;
}

static bool print_perplexity(const lmmc_options *o, lmmc_error *e) {
  lmmc_model model;
  lmmc_memory memory = {0};
  lmmc_tokenizer tokenizer;
  if (!shorten(&model, o, e) || !open_tokenizer(&tokenizer, &memory, e) ||
      !start(&memory, &model, o, (lmmc_memory_use){o->window, 1, 0, 0}, e))
    return false;
  bool done = lmmc_perplexity(&model, &memory, &tokenizer, o, e);
  lmmc_memory_close(&memory, &model);
  return done;
}

// What takes longer is worth no wait of whoever compiles.
enum { FOLD_SECONDS = 30 };

static bool fold(const lmmc_options *o, lmmc_error *e) {
  const lmmc_model *m = &lmmc_program;
  lmmc_memory memory = {0};
  lmmc_tokenizer tokenizer;
  lmmc_prefix prefix;
  alarm(FOLD_SECONDS);
  if (!open_tokenizer(&tokenizer, &memory, e) || !lmmc_prefix_find(&prefix, m, &memory, e)) return false;
  const lmmc_memory_use use = {prefix.count, 1, 0, 0};
  const lmmc_memory_needs needs = lmmc_memory_need(m, use);
  const char *limit;
  const double available = lmmc_memory_available("", &limit), wanted = (double)needs.cache + (double)needs.working + (double)needs.weights;
  if (available >= 0 && wanted > available)
    return lmmc_fail(e, 1, "it takes %.0f MB of memory, and %s leaves %.0f MB", wanted / 1e6, limit, available / 1e6);
  bool done = start(&memory, m, o, use, e) && lmmc_fold(m, &memory, o->fold, e);
  lmmc_memory_close(&memory, m);
  return done;
}

static bool print_help(const lmmc_options *o, int argc, char **argv, lmmc_error *e) {
  lmmc_options_help(stdout, argc > 0 ? argv[0] : "program", o->topic);
  fflush(stdout);
  return !ferror(stdout) || errno == EPIPE || lmmc_fail(e, 1, "standard output cannot be written: %s", lmmc_reason(errno).text);
}

static bool print_version(lmmc_error *e) {
  lmmc_text out = {0};
  bool done = lmmc_text_format(&out, e, "lmmc %s\n", lmmc_program.version) && print(&out, e);
  lmmc_text_free(&out);
  return done;
}

static bool dispatch(const lmmc_options *o, int argc, char **argv, lmmc_error *e) {
  if (o->mode == LMMC_MODE_HELP) return print_help(o, argc, argv, e);
  if (o->mode == LMMC_MODE_VERSION) return print_version(e);
  if (!lmmc_levels_start(e)) return false;
  switch (o->mode) {
    case LMMC_MODE_INFO: return print_info(o, e);
    case LMMC_MODE_CHECK: return print_check(o, e);
    case LMMC_MODE_TOKENIZE: return print_ids(o->tokenize, e);
    case LMMC_MODE_PERPLEXITY: return print_perplexity(o, e);
    case LMMC_MODE_BENCH: return answer(o, e);
    case LMMC_MODE_BATCH:
    case LMMC_MODE_SERVE: return many(o, argc > 0 ? argv[0] : "program", e);
    case LMMC_MODE_CHAT: return chat(o, e);
    case LMMC_MODE_FOLD: return fold(o, e);
    case LMMC_MODE_HELP:
    case LMMC_MODE_VERSION:
    case LMMC_MODE_SEVERAL:
    case LMMC_MODE_ANSWER: break;
  }
  if (has_built_in(o) || o->prompt || o->raw_prompt || !isatty(STDIN_FILENO)) return answer(o, e);
  // What speaks of one answer wants one question.
  if (o->json || o->dump || o->profile || o->answers > 1 || o->notation != LMMC_NO_NOTATION)
    return lmmc_fail(e, 2, "no prompt, '--prompt' gives one");
  return chat(o, e);
}

// The kernel sends SIGBUS when mapped bytes cannot be had: the file was cut short, or its disk fails.
static void cannot_read(int number, siginfo_t *info, void *context) {
  (void)number, (void)context;
  lmmc_unfinished_remove_all();
  const uint64_t place = lmmc_attachment_place(info->si_addr);
  char text[192] = "error: the attached weights cannot be read";
  size_t length = strlen(text);
  if (place != UINT64_MAX) {
    char digits[20];
    int count = 0;
    for (uint64_t rest = place; count == 0 || rest > 0; rest /= 10) digits[count++] = (char)('0' + rest % 10);
    memcpy(text + length, " at byte ", 9), length += 9;
    while (count > 0) text[length++] = digits[--count];
    memcpy(text + length, " of their file", 14), length += 14;
  }
  static const char end[] = ", the file is cut short or its disk fails\n";
  memcpy(text + length, end, sizeof end - 1), length += sizeof end - 1;
  (void)!write(STDERR_FILENO, text, length);
  _exit(1);
}

static int work(int argc, char **argv) {
  lmmc_error e = {0};
  lmmc_options options;
  bool done = lmmc_options_parse(&options, argc, argv, &e) && dispatch(&options, argc, argv, &e);
  lmmc_options_free(&options);
  if (done) return 0;
  fprintf(stderr, "error: %s\n", e.message);
  return e.code;
}

// Whoever starts a program may have blocked signals: a server asks its threads by one, and is stopped by others.
static void take_signals(void) {
  static const int wanted[] = {SIGURG, SIGTERM, SIGINT};
  sigset_t set;
  sigemptyset(&set);
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) sigaddset(&set, wanted[i]);
  sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int main(int argc, char **argv) {
  // A file that is opened later must not become standard output: reading ends make writes to a closed one fail.
  for (int fd = 0; fd <= STDERR_FILENO; fd++)
    if (fcntl(fd, F_GETFD) < 0) (void)!open("/dev/null", O_RDONLY);
  take_signals();  // before any thread is made, which has what its maker has
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);  // a file that grows past a limit is an error of the write
  sigaction(SIGBUS, &(struct sigaction){.sa_sigaction = cannot_read, .sa_flags = SA_SIGINFO}, NULL);
  return lmmc_on_stack(work, argc, argv);
}
