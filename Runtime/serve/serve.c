#define _GNU_SOURCE  // O_PATH

#include "serve.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/http.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "connections.h"
#include "exchanges.h"
#include "keys.h"
#include "serve/sandbox/sandbox.h"
#include "served_metrics.h"
#include "serve/exchange/server.h"
#include "sockets.h"
#include "system/threads.h"
#include "serve/work/work.h"

// How often a server that stops looks whether it may end, and how long replies that are made get to be sent.
enum { LOOK_MICROSECONDS = 20000, SEND_SECONDS = 5 };

// Descriptors beside those of connections.
enum { OTHER_DESCRIPTORS = 64 };

// ---- the end

static void end_listening(lmmc_server *s) {
  for (int i = 0; i < s->socket_count; i++) evhttp_del_accept_socket(s->http, s->sockets[i]);
  s->socket_count = 0;
}

// Whether all is answered and sent; what is not is cut when its time is over.
static void on_stop(int fd, short what, void *context) {
  lmmc_server *s = context;
  const double now = lmmc_clock();
  (void)fd, (void)what;
  if (now >= s->stops_at && !s->is_cut) {
    s->is_cut = true;
    lmmc_exchanges_cut(s);
  }
  lmmc_connections_end_idle(s->connections);
  if (s->open == 0 && (!lmmc_connections_send(s->connections) || now >= s->stops_at + SEND_SECONDS)) event_base_loopbreak(s->base);
}

// Asked to stop; asked again, at once.
static void on_signal(int number, short what, void *context) {
  lmmc_server *s = context;
  (void)number, (void)what;
  const double now = lmmc_clock();
  if (s->stopping) s->stops_at = now;
  if (!s->stopping) s->stops_at = now + (double)s->settings->grace;
  s->stopping = true;
  end_listening(s);
  event_add(s->stop, &(struct timeval){.tv_usec = LOOK_MICROSECONDS});
  event_active(s->stop, EV_TIMEOUT, 0);
}

// ---- the beginning

static void on_wake(int fd, short what, void *context) {
  (void)fd, (void)what;
  lmmc_exchanges_changed(context);
}

// libevent's own words are of broken connections, which strangers may make as many of as they like.
static void say_nothing(int severity, const char *message) { (void)severity, (void)message; }

static bool make_room_for_connections(void) {
  struct rlimit limit;
  const rlim_t wanted = LMMC_MOST_CONNECTIONS + OTHER_DESCRIPTORS;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return true;
  limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
  return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

static bool open_loop(lmmc_server *s, lmmc_error *e) {
  event_set_log_callback(say_nothing);
  s->base = event_base_new();
  s->http = s->base ? evhttp_new(s->base) : NULL;
  if (!s->http) return lmmc_fail(e, 1, "no event loop can be made");
  evhttp_set_max_headers_size(s->http, LMMC_MOST_HEADERS);
  evhttp_set_max_body_size(s->http, LMMC_MOST_BODY);
  evhttp_set_default_content_type(s->http, NULL);
  evhttp_set_flags(s->http, EVHTTP_SERVER_LINGERING_CLOSE);
  evhttp_set_allowed_methods(s->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST | EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
                                          EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH | EVHTTP_REQ_TRACE | EVHTTP_REQ_CONNECT);
  evhttp_set_gencb(s->http, lmmc_exchange_handle, s);
  s->connections = lmmc_connections_open(s, e);
  if (!s->connections) return false;
  s->wake = event_new(s->base, lmmc_work_descriptor(s->work), EV_READ | EV_PERSIST, on_wake, s);
  s->stop = event_new(s->base, -1, EV_PERSIST, on_stop, s);
  s->signals[0] = evsignal_new(s->base, SIGTERM, on_signal, s);
  s->signals[1] = evsignal_new(s->base, SIGINT, on_signal, s);
  return (s->wake && s->stop && s->signals[0] && s->signals[1] && event_add(s->wake, NULL) == 0 && event_add(s->signals[0], NULL) == 0 &&
          event_add(s->signals[1], NULL) == 0) ||
         lmmc_fail(e, 1, "no events can be had");
}

static void close_loop(lmmc_server *s) {
  struct event *const events[] = {s->wake, s->stop, s->signals[0], s->signals[1]};
  for (size_t i = 0; i < sizeof events / sizeof *events; i++)
    if (events[i]) event_free(events[i]);
  if (s->http) evhttp_free(s->http);
  if (s->connections) lmmc_connections_close(s->connections);
  if (s->base) event_base_free(s->base);
  libevent_global_shutdown();
}

static bool listen_on(lmmc_server *s, lmmc_sockets *sockets, lmmc_error *e) {
  for (int i = 0; i < sockets->count; i++) {
    s->sockets[i] = evhttp_accept_socket_with_handle(s->http, sockets->fds[i]);
    if (!s->sockets[i]) return lmmc_fail(e, 1, "'%s' cannot be listened at", sockets->names[i]);
    sockets->fds[i] = -1;
    s->socket_count++;
  }
  // Browsers are led here by names that are somebody else's, and they know no key.
  s->checks_hosts = !s->keys && sockets->is_local && !sockets->is_for_all;
  for (int i = 0; i < sockets->count; i++) fprintf(stderr, "listening on %s\n", sockets->names[i]);
  return true;
}

// What is open stays so; what has no use from here on is given up.
static bool give_up(const lmmc_serve_settings *o, const lmmc_sockets *sockets, lmmc_error *e) {
  const lmmc_sandbox_rules rules = {.media_path = o->media, .cache_dir = o->cache, .socket_path = sockets->path};
  char note[512];
  if (!lmmc_sandbox_enter(&rules, note, sizeof note, e)) return false;
  if (*note) fprintf(stderr, "note: %s\n", note);
  return true;
}

static bool open_files(lmmc_server *s, lmmc_error *e) {
  const lmmc_serve_settings *o = s->settings;
  if (o->key_file && !(s->keys = lmmc_keys_open(o->key_file, e))) return false;
  if (o->media && (s->media = open(o->media, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
    return lmmc_fail(e, 1, "option '--media-path': '%s' cannot be opened: %s", o->media, lmmc_reason(errno).text);
  return true;
}

// ---- the threads

static void *run_loop(void *context) {
  lmmc_server *s = context;
  lmmc_threads_aside();
  event_base_dispatch(s->base);
  lmmc_work_stop(s->work);
  return NULL;
}

static void *run_preparing(void *context) {
  lmmc_threads_aside();
  lmmc_work_prepare(((lmmc_server *)context)->work);
  return NULL;
}

// This thread turns the engine until the loop has ended, and with it the others.
static bool run(lmmc_server *s, lmmc_error *e) {
  pthread_t loop, preparing;
  if (pthread_create(&preparing, NULL, run_preparing, s) != 0) return lmmc_fail(e, 1, "no thread can be made that prepares");
  const bool done = pthread_create(&loop, NULL, run_loop, s) == 0 || lmmc_fail(e, 1, "no thread can be made that serves");
  if (!done) lmmc_work_stop(s->work);
  lmmc_work_answer(s->work);
  if (done) pthread_join(loop, NULL);
  pthread_join(preparing, NULL);
  return done;
}

bool lmmc_serve(lmmc_engine *engine, const lmmc_serve_settings *settings, lmmc_error *e) {
  lmmc_server s = {
      .settings = settings, .model = engine->session->model, .tokenizer = engine->tokenizer, .started = time(NULL), .media = -1};
  lmmc_sockets sockets = {0};
  make_room_for_connections();
  bool done = open_files(&s, e) && (s.work = lmmc_work_open(&s, engine, e)) && lmmc_served_metrics_open(&s, e) &&
              lmmc_sockets_open(&sockets, settings->address, e) && open_loop(&s, e) && give_up(settings, &sockets, e) &&
              listen_on(&s, &sockets, e) && run(&s, e);
  close_loop(&s);
  lmmc_sockets_close(&sockets);
  if (s.work) lmmc_work_close(s.work);
  lmmc_served_metrics_close(&s);
  lmmc_keys_close(s.keys);
  if (s.media >= 0) close(s.media);
  return done;
}
