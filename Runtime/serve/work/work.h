// What goes from thread to thread: bodies to the one that prepares, requests to the one that turns the engine, and tokens to the one that
// sends. Everything here is under one lock, which nobody holds for longer than it takes to move a pointer or some bytes.
#ifndef LMMC_SERVE_WORK_WORK_H
#define LMMC_SERVE_WORK_WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/engine.h"
#include "serve/exchange/http_exchange.h"

typedef struct lmmc_work lmmc_work;
typedef struct lmmc_work_item lmmc_work_item;

// How much there is to do.
typedef struct {
  int64_t waiting;    // answers that have no slot yet
  int64_t answering;  // that have one
  int64_t most;       // that may be there at once, of both kinds
  uint64_t bodies;    // bytes of bodies that wait
  double seconds;     // that an answer took lately, on average
} lmmc_load;

// NULL with `*e` filled (code 1) when memory or descriptors are out.
lmmc_work *lmmc_work_open(lmmc_server *s, lmmc_engine *engine, lmmc_error *e);
void lmmc_work_close(lmmc_work *w);  // when both threads have ended

// ---- the thread of the loop

// Readable when something has changed for it.
int lmmc_work_descriptor(const lmmc_work *w);

// Hands over an exchange with its body, which becomes the work's in either case. False with `*f` filled (503) where too much waits.
bool lmmc_work_submit(lmmc_work *w, lmmc_exchange *x, char *body, size_t bytes, lmmc_fault *f);

// Nobody wants the answer any more: it ends before the next token.
void lmmc_work_cancel(lmmc_work *w, lmmc_exchange *x);

// The next exchange for which something has changed; NULL: none. Call until then when the descriptor was readable. `*is_done`: it is the
// last time, and the exchange is to be given to lmmc_work_release.
lmmc_exchange *lmmc_work_changed(lmmc_work *w, bool *is_done);

// Takes what an answer has grown by into `*grown`, which is empty before and whose memory goes back and forth. `*ended`: it has, and
// x->answers says how.
void lmmc_work_take(lmmc_work *w, lmmc_exchange *x, int32_t answer, lmmc_grown *grown, bool *ended);

// How far the other threads are: READY: x->asked and x->answers are there; DONE: x->reply, x->fault or all answers are.
typedef enum { LMMC_WORK_GOES_ON, LMMC_WORK_READY, LMMC_WORK_DONE } lmmc_work_state;
lmmc_work_state lmmc_work_state_of(lmmc_work *w, lmmc_exchange *x);
void lmmc_work_release(lmmc_work *w, lmmc_exchange *x);

lmmc_load lmmc_work_load(lmmc_work *w);

// Both other threads end when nothing is left to do.
void lmmc_work_stop(lmmc_work *w);

// ---- the other threads; each returns after lmmc_work_stop

void lmmc_work_prepare(lmmc_work *w);
void lmmc_work_answer(lmmc_work *w);

#endif
