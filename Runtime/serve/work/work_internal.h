// What the three files of the work share (work.c).
#ifndef LMMC_SERVE_WORK_WORK_INTERNAL_H
#define LMMC_SERVE_WORK_WORK_INTERNAL_H

#include <pthread.h>

#include "prepare.h"
#include "work.h"

// One answer as the engine is asked for it.
typedef struct {
  lmmc_request request;  // first: it is found by it
  lmmc_work_item *item;
  lmmc_structured structured;
  const float *logits;  // of which the next token was sampled

  // Under the lock
  lmmc_grown grown;  // and not taken yet
  lmmc_told_answer outcome;
  bool ended, reported;
} lmmc_work_one;

typedef struct {
  lmmc_work_item *first, *last;
} lmmc_work_list;

struct lmmc_work_item {
  lmmc_exchange *x;
  lmmc_work_item *next;  // of the list that it is in: bodies, ready or running
  char *body;
  size_t bytes;
  lmmc_prepared prepared;
  lmmc_work_one *ones;        // [count]
  lmmc_told_answer *answers;  // [count], the exchange's once it sees them
  int32_t count;              // answers
  int32_t living;             // of them, for the engine's thread

  // Under the lock
  lmmc_work_item *next_changed;
  int32_t held;  // answers that count for the load
  lmmc_work_state state;
  bool is_listed, is_cancelled;
  lmmc_fault fault;
};

struct lmmc_work {
  lmmc_server *server;
  lmmc_engine *engine;
  int wake;
  pthread_mutex_t lock;
  pthread_cond_t for_preparing, for_answering;
  lmmc_work_list bodies, ready;
  lmmc_work_item *changed, *last_changed;
  lmmc_load load;
  bool cancels, stops;
  lmmc_work_list running;  // the engine's thread
};

// Puts it last.
void lmmc_work_append(lmmc_work_list *l, lmmc_work_item *i);

// These are for who holds the lock: something has changed for the thread of the loop; so many answers more count for the load; the item is
// done, and gone as soon as the lock is.
void lmmc_work_report(lmmc_work *w, lmmc_work_item *i);
void lmmc_work_hold(lmmc_work *w, lmmc_work_item *i, int32_t answers);
void lmmc_work_end(lmmc_work *w, lmmc_work_item *i);

// Makes a request of an answer whose item and number are set: who hears of it.
void lmmc_work_listen(lmmc_work_one *o);

#endif
