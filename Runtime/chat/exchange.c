#include "exchange.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/shown_text.h"
#include "interruption.h"

typedef struct {
  lmmc_request request;  // first: it is found by it
  lmmc_exchange *exchange;
  lmmc_said answer;
  bool has_ended;
} exchange;

// ---- what the engine tells

static bool write_answer(exchange *x, const char *text, size_t bytes, lmmc_error *e) {
  lmmc_exchange *of = x->exchange;
  if (bytes == 0 || of->is_closed) return true;
  lmmc_text shown = {0};
  bool done = !of->to_terminal || lmmc_text_show(&shown, text, bytes, e);
  if (done) {
    const lmmc_write_result r = of->to_terminal ? lmmc_write(STDOUT_FILENO, shown.bytes, shown.count, "standard output", e)
                                                : lmmc_write(STDOUT_FILENO, text, bytes, "standard output", e);
    of->is_closed = r == LMMC_CLOSED;
    done = r != LMMC_WRITE_FAILED;
  }
  lmmc_text_free(&shown);
  return done;
}

static bool take_end(void *context, const char *text, size_t bytes, lmmc_error *e) {
  exchange *x = context;
  return lmmc_text_append(&x->answer.text, text, bytes, e) && write_answer(x, text, bytes, e);
}

static lmmc_write_result take_token(void *context, int32_t id, const char *text, size_t bytes, lmmc_error *e) {
  exchange *x = context;
  if (!lmmc_ids_append(&x->answer.tokens, id, e) || !take_end(x, text, bytes, e)) return LMMC_WRITE_FAILED;
  return x->exchange->is_closed ? LMMC_CLOSED : LMMC_WRITTEN;
}

static void take_over(lmmc_request *r) { ((exchange *)r)->has_ended = true; }

// ---- a question

static void work(exchange *x) {
  lmmc_engine *engine = x->exchange->engine;
  lmmc_interrupted();
  lmmc_engine_submit(engine, &x->request);
  while (!x->has_ended) {
    lmmc_engine_turn(engine);
    if (!x->has_ended && lmmc_interrupted()) lmmc_engine_cancel(engine, &x->request);
  }
}

// Whether the tokens of the answer say more than was told of it.
static bool is_cut(const lmmc_exchange *x, const lmmc_said *answer, bool *is, lmmc_error *e) {
  lmmc_detokenizer d = {0};
  lmmc_text all = {0};
  bool done = true;
  for (size_t i = 0; done && i < answer->tokens.count; i++)
    done = lmmc_detokenize(x->engine->tokenizer, &d, answer->tokens.values[i], &all, e);
  done = done && lmmc_detokenize_end(&d, &all, e);
  *is = all.count != answer->text.count || (all.count > 0 && memcmp(all.bytes, answer->text.bytes, all.count) != 0);
  lmmc_text_free(&all);
  return done;
}

static void count(lmmc_exchange *x, const lmmc_request *r) {
  const lmmc_generation *made = &r->answer.made;
  const lmmc_chat_counts now = {.questions = 1,
                                .prompt = (int64_t)r->prompt.tokens.count,
                                .shared = r->shared,
                                .encoded = r->encoded,
                                .answered = made->tokens,
                                .first = made->tokens > 0 ? made->first_token - r->begun : 0,
                                .answering = made->seconds,
                                .steps = made->steps,
                                .held = (int64_t)r->prompt.tokens.count + made->tokens};
  lmmc_chat_counts *all = &x->all;
  x->last = now;
  all->questions++;
  all->prompt += now.prompt;
  all->shared += now.shared;
  all->encoded += now.encoded;
  all->answered += now.answered;
}

// Says what ended an answer that the model did not end.
static void say_cut(const lmmc_exchange *x, const lmmc_request *r) {
  if (r->ending == LMMC_ENDED_BY_CANCEL)
    fprintf(stderr, "(stopped after %" PRId64 " tokens, which stay in the conversation)\n", r->answer.made.tokens);
  else if (r->ending == LMMC_ENDED_BY_LIMIT && r->answer.made.tokens == x->settings->max_tokens)
    fprintf(stderr, "(cut by '--max-tokens', which is %" PRId64 ")\n", x->settings->max_tokens);
  else if (r->ending == LMMC_ENDED_BY_LIMIT)
    fprintf(stderr,
            "(the context of this program, %" PRId32
            " tokens, is full: '/undo' takes this question back, '/reset' begins anew, and "
            "'lmmc compile --context N' makes a program with a larger one)\n",
            x->engine->session->model->context);
}

static bool is_too_long(const lmmc_exchange *x, const lmmc_prompt *p) {
  return p->tokens.count > (size_t)x->engine->session->model->context;
}

// The question as a prompt; what can be done is said where it does not fit.
static bool build(const lmmc_exchange *x, const char *question, size_t bytes, lmmc_prompt *p, lmmc_error *e) {
  const lmmc_model *m = x->engine->session->model;
  if (lmmc_conversation_prompt(x->conversation, question, bytes, p, e)) return true;
  if (!is_too_long(x, p)) return false;
  const char *less =
      x->conversation->count > x->conversation->kept ? "'/undo' takes a question back, '/reset' begins anew" : "a shorter one fits";
  return lmmc_fail(e, e->code,
                   "the question does not fit: the prompt is %zu tokens long, %d of them vision tokens, and the context of this program is "
                   "%" PRId32 "; %s, and 'lmmc compile --context N' makes a program with a larger one",
                   p->tokens.count, p->visual_tokens, m->context, less);
}

// The line of the answer ends, where there is one.
static bool end_line(exchange *x, lmmc_error *e) {
  return (x->answer.text.count == 0 && x->request.ending == LMMC_ENDED_BY_FAILURE) || write_answer(x, "\n", 1, e);
}

// What has become of it.
static bool conclude(exchange *x, const char *question, size_t bytes, lmmc_error *e) {
  lmmc_exchange *of = x->exchange;
  const lmmc_request *r = &x->request;
  if (!end_line(x, e)) return false;
  if (r->ending == LMMC_ENDED_BY_FAILURE) return *e = r->error, false;
  count(of, r);
  if (r->ending == LMMC_ENDED_BY_CANCEL && x->answer.tokens.count == 0) {
    fprintf(stderr, "(stopped before the answer began, the question is taken back)\n");
    return true;
  }
  if (r->answer.made.stopped && !is_cut(of, &x->answer, &x->answer.is_cut_text, e)) return false;
  if (!lmmc_conversation_add(of->conversation, question, bytes, &x->answer, e)) return false;
  say_cut(of, r);
  return true;
}

bool lmmc_exchange_ask(lmmc_exchange *x, const char *question, size_t bytes, lmmc_error *e) {
  const lmmc_chat_settings *settings = x->settings;
  exchange now = {.exchange = x};
  lmmc_request *r = &now.request;
  lmmc_sampling sampling = settings->sampling;
  sampling.seed += (uint64_t)x->all.questions;
  *r = (lmmc_request){.pictures = x->conversation->pictures,
                      .max_tokens = settings->max_tokens,
                      .stops = settings->stops,
                      .stop_count = settings->stop_count,
                      .sink = {.context = &now, .token = take_token, .end = take_end},
                      .ended = take_over};
  bool done =
      build(x, question, bytes, &r->prompt, e) && lmmc_sampler_open(&r->sampler, x->engine->session->model->vocabulary, &sampling, e);
  if (done) {
    work(&now);
    done = conclude(&now, question, bytes, e);
  }
  lmmc_request_close(r);
  lmmc_text_free(&now.answer.text);
  lmmc_ids_free(&now.answer.tokens);
  return done;
}
