#define _GNU_SOURCE  // POLLRDHUP

#include "connections.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "exchanges.h"
#include "serve/formats/openai.h"

// What a client may send while it waits for a reply is kept unread, up to this many bytes.
enum { MOST_AHEAD = 64 << 10, LOOK_SECONDS = 1 };

// What a request can hold; more of it goes as it comes. And how much memory is worth to be given back.
enum { MOST_HELD = LMMC_MOST_HEADERS + LMMC_MOST_BODY + MOST_AHEAD, TRIM_BYTES = 64 << 20 };

struct lmmc_connection {
  lmmc_connections *all;
  lmmc_connection *next, *before;  // by when they were last used
  struct bufferevent *buffer;
  struct evhttp_connection *http;  // NULL until libevent has made it
  int fd;
  struct event *soon, *deadline, *watch;
  lmmc_exchange *exchange;         // that waits for its reply
  struct evhttp_request *request;  // its own
  bool is_sending;                 // the reply is libevent's to send
  bool is_ending, is_refused;
  uint64_t received;  // bytes since its last request, MOST_HELD of them at most
  char begins[16];    // the first of them
};

struct lmmc_connections {
  lmmc_server *server;
  lmmc_connection *first, *last;
  lmmc_connection **by_fd;
  size_t room;
  int64_t count;
  uint64_t received, most_received;  // by all; the most since memory was given back
  struct event *trim;
};

static void unlink_one(lmmc_connection *c) {
  *(c->before ? &c->before->next : &c->all->first) = c->next;
  *(c->next ? &c->next->before : &c->all->last) = c->before;
  c->next = c->before = NULL;
}

static void link_last(lmmc_connection *c) {
  c->before = c->all->last;
  *(c->all->last ? &c->all->last->next : &c->all->first) = c;
  c->all->last = c;
}

// The allocator keeps what many small buffers had.
static void on_trim(int fd, short what, void *context) {
  (void)fd, (void)what, (void)context;
  malloc_trim(0);
}

static void forget_received(lmmc_connection *c) {
  lmmc_connections *all = c->all;
  all->received -= c->received;
  c->received = 0;
  if (all->most_received < TRIM_BYTES || all->received > all->most_received / 4) return;
  all->most_received = all->received;
  event_add(all->trim, &(struct timeval){.tv_sec = LOOK_SECONDS});
}

static void free_one(lmmc_connection *c) {
  forget_received(c);
  unlink_one(c);
  c->all->count--;
  if (c->http) c->all->by_fd[c->fd] = NULL;
  if (c->soon) event_free(c->soon);
  if (c->deadline) event_free(c->deadline);
  if (c->watch) event_free(c->watch);
  bufferevent_decref(c->buffer);
  free(c);
}

// libevent closes the connection. A request that it has given away and not got back is no more its own, unless the closing was ours.
static void on_close(struct evhttp_connection *http, void *context) {
  lmmc_connection *c = context;
  lmmc_exchange *x = c->exchange;
  (void)http;
  if (c->request && !c->is_ending) evhttp_request_free(c->request);
  free_one(c);
  if (x) lmmc_exchange_lost(x);
}

static void end(lmmc_connection *c) {
  c->is_ending = true;
  evhttp_connection_free(c->http);
}

// Says why, past libevent, to a client whose request is not whole, and ends.
static void end_saying(lmmc_connection *c, const lmmc_fault *f) {
  lmmc_text body = {0}, head = {0};
  lmmc_error e;
  if (lmmc_openai_fault(f, false, &body) &&
      lmmc_text_format(&head, &e, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                       f->status, lmmc_status_name(f->status), body.count, body.bytes))
    (void)!send(c->fd, head.bytes, head.count, MSG_DONTWAIT | MSG_NOSIGNAL);
  lmmc_text_free(&head);
  lmmc_text_free(&body);
  end(c);
}

static void arm(struct event *event, long seconds) { event_add(event, &(struct timeval){.tv_sec = seconds}); }

// ---- whether who waits is there

static bool is_gone(int fd) {
  struct pollfd p = {.fd = fd, .events = POLLRDHUP};
  return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL));
}

// Something came from a client that has to wait. What it sends ahead would wake us for ever, so from then on we look now and then.
static void on_watch(int fd, short what, void *context) {
  lmmc_connection *c = context;
  (void)what;
  if (is_gone(fd)) {
    end(c);
    return;
  }
  char byte;
  if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0) return;
  event_del(c->watch);
  arm(c->deadline, LOOK_SECONDS);
}

static void on_deadline(int fd, short what, void *context) {
  lmmc_connection *c = context;
  lmmc_fault f;
  (void)fd, (void)what;
  if (c->is_sending) return;  // libevent's own timeout ends it
  if (c->exchange) {
    if (is_gone(c->fd))
      end(c);
    else
      arm(c->deadline, LOOK_SECONDS);
  } else if (c->received > 0) {
    lmmc_refuse(&f, 408, NULL, NULL, "the request was not whole within %d seconds", LMMC_RECEIVE_SECONDS);
    end_saying(c, &f);
  } else {
    end(c);
  }
}

// ---- what comes and goes past the handlers

static void on_input(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *context) {
  lmmc_connection *c = context;
  if (c->exchange) return;
  if (c->received == 0 && info->n_added > 0) {
    const ev_ssize_t count = evbuffer_copyout(buffer, c->begins, sizeof c->begins - 1);
    c->begins[count > 0 ? count : 0] = 0;
  }
  const uint64_t rest = MOST_HELD - c->received, more = info->n_added < rest ? info->n_added : rest;
  c->received += more;
  c->all->received += more;
  if (c->all->received > c->all->most_received) c->all->most_received = c->all->received;
  if (c->all->received <= LMMC_MOST_RECEIVED || c->received < LMMC_MOST_HEADERS || c->is_refused) return;
  c->is_refused = true;
  event_active(c->soon, EV_TIMEOUT, 0);
}

// What is written while nobody here writes is a page by which libevent refuses a request.
static void on_output(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *context) {
  lmmc_connection *c = context;
  (void)buffer;
  if (info->n_added > 0 && !c->exchange && !c->is_sending) event_active(c->soon, EV_TIMEOUT, 0);
}

// Whether what a client sends begins with a method that nothing here wants and libevent has no name for: it calls such requests broken, or
// says that they are not implemented, and neither is so.
static bool has_odd_method(const lmmc_connection *c) {
  static const char *const known[] = {"GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "OPTIONS ", "TRACE ", "CONNECT ", "PATCH "};
  const size_t length = strspn(c->begins, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-");
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strncmp(c->begins, known[i], strlen(known[i])) == 0) return false;
  return length > 0 && (c->begins[length] == ' ' || length == sizeof c->begins - 1);
}

// The page becomes an error as all others are.
static void rewrite_page(lmmc_connection *c) {
  struct evbuffer *out = bufferevent_get_output(c->buffer);
  char head[16] = "";
  evbuffer_unfreeze(out, 1);  // a bufferevent keeps its front, but while it writes
  const ev_ssize_t count = evbuffer_copyout(out, head, sizeof head - 1);
  const int made = count > 12 && memcmp(head, "HTTP/1.", 7) == 0 ? atoi(head + 9) : 0;
  const int status = (made == 400 || made == 501) && has_odd_method(c) ? 405 : made == 501 ? 400 : made;
  lmmc_fault f;
  lmmc_text body = {0};
  if (status < 400) {
    evbuffer_freeze(out, 1);
    return;
  }
  if (status == 405)
    lmmc_refuse(&f, status, NULL, NULL, "the request has a method that nothing here wants");
  else if (status == 413)
    lmmc_refuse(&f, status, NULL, NULL, "the body is longer than %d bytes", LMMC_MOST_BODY);
  else
    lmmc_refuse(&f, status, NULL, NULL, "the request is no HTTP that this server knows, or its head is longer than %d bytes",
                LMMC_MOST_HEADERS);
  c->is_sending = true;
  bufferevent_set_timeouts(c->buffer, NULL, &(struct timeval){.tv_sec = LMMC_WRITE_SECONDS});
  if (lmmc_openai_fault(&f, false, &body)) {
    evbuffer_drain(out, evbuffer_get_length(out));
    evbuffer_add_printf(out, "HTTP/1.1 %d %s\r\n%sContent-Type: application/json\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                        status, lmmc_status_name(status), status == 405 ? "Allow: GET, HEAD, POST\r\n" : "", body.count);
    evbuffer_add(out, body.bytes, body.count);
  }
  evbuffer_freeze(out, 1);
  lmmc_text_free(&body);
}

// ---- they come

// Room for one more: of those that wait for nothing the one that was used longest ago goes.
static bool make_room(lmmc_connection *newest) {
  lmmc_connections *all = newest->all;
  if (all->count <= LMMC_MOST_CONNECTIONS) return true;
  for (lmmc_connection *c = all->first; c; c = c->next)
    if (c != newest && c->http && !c->exchange && !c->is_sending) return end(c), true;
  return false;
}

static bool know(lmmc_connection *c) {
  lmmc_connections *all = c->all;
  if ((size_t)c->fd >= all->room) {
    const size_t room = 2 * (size_t)c->fd + 16;
    lmmc_connection **larger = realloc(all->by_fd, room * sizeof *larger);
    if (!larger) return false;
    memset(larger + all->room, 0, (room - all->room) * sizeof *larger);
    all->by_fd = larger;
    all->room = room;
  }
  all->by_fd[c->fd] = c;
  return true;
}

// libevent has made its connection, which is what its buffer tells its events to.
static void on_made(lmmc_connection *c) {
  bufferevent_data_cb read, write;
  bufferevent_event_cb event;
  void *http;
  lmmc_fault f;
  bufferevent_getcb(c->buffer, &read, &write, &event, &http);
  c->fd = bufferevent_getfd(c->buffer);
  if (!http || c->fd < 0 || !know(c)) {
    if (http) evhttp_connection_free(http);
    free_one(c);
    return;
  }
  c->http = http;
  // A part that is sent behind another would wait for that one's receipt, which clients put off by 40 ms.
  (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
  evhttp_connection_set_closecb(c->http, on_close, c);
  c->deadline = evtimer_new(c->all->server->base, on_deadline, c);
  c->watch = event_new(c->all->server->base, c->fd, EV_READ | EV_CLOSED | EV_PERSIST, on_watch, c);
  if (!c->deadline || !c->watch) {
    end(c);
  } else if (!make_room(c)) {
    lmmc_refuse(&f, 503, "server_busy", NULL, "there are %d connections, which is all that may", LMMC_MOST_CONNECTIONS);
    end_saying(c, &f);
  } else {
    arm(c->deadline, LMMC_RECEIVE_SECONDS);
  }
}

static void on_soon(int fd, short what, void *context) {
  lmmc_connection *c = context;
  lmmc_fault f;
  (void)fd, (void)what;
  if (!c->http) {
    on_made(c);
  } else if (c->is_refused && !c->exchange && !c->is_sending) {
    lmmc_refuse(&f, 503, "server_busy", NULL, "too much is being received");
    end_saying(c, &f);
  } else if (!c->exchange && !c->is_sending) {
    rewrite_page(c);
  }
}

static struct bufferevent *on_accept(struct event_base *base, void *context) {
  lmmc_connections *all = context;
  struct bufferevent *buffer = bufferevent_socket_new(base, -1, 0);
  lmmc_connection *c = calloc(1, sizeof *c);
  struct event *soon = buffer && c ? event_new(base, -1, 0, on_soon, c) : NULL;
  // Without a record it is refused when its request comes.
  if (!soon) return free(c), buffer;
  *c = (lmmc_connection){.all = all, .buffer = buffer, .fd = -1, .soon = soon};
  bufferevent_incref(buffer);
  evbuffer_add_cb(bufferevent_get_input(buffer), on_input, c);
  evbuffer_add_cb(bufferevent_get_output(buffer), on_output, c);
  link_last(c);
  all->count++;
  event_active(soon, EV_TIMEOUT, 0);
  return buffer;
}

lmmc_connections *lmmc_connections_open(lmmc_server *s, lmmc_error *e) {
  lmmc_connections *all = calloc(1, sizeof *all);
  if (!all || !(all->trim = evtimer_new(s->base, on_trim, NULL))) return free(all), lmmc_fail(e, 1, "out of memory for a server"), NULL;
  all->server = s;
  evhttp_set_bevcb(s->http, on_accept, all);
  return all;
}

void lmmc_connections_close(lmmc_connections *all) {
  event_free(all->trim);
  free(all->by_fd);
  free(all);
}

int64_t lmmc_connection_count(const lmmc_connections *all) { return all->count; }

bool lmmc_connections_send(const lmmc_connections *all) {
  const lmmc_connection *c = all->first;
  while (c && !c->is_sending) c = c->next;
  return c;
}

void lmmc_connections_end_idle(lmmc_connections *all) {
  for (lmmc_connection *c = all->first, *next; c; c = next) {
    next = c->next;
    if (c->http && !c->exchange && !c->is_sending) end(c);
  }
}

// ---- a request

// The reply has been sent, and libevent reads on.
static void on_sent(struct evhttp_request *request, void *context) {
  lmmc_connection *c = context;
  (void)request;
  c->is_sending = false;
  bufferevent_setwatermark(c->buffer, EV_READ, 0, 0);
  bufferevent_set_timeouts(c->buffer, NULL, NULL);
  arm(c->deadline, LMMC_RECEIVE_SECONDS);
}

lmmc_connection *lmmc_connection_begin(lmmc_server *s, struct evhttp_request *request, lmmc_exchange *x) {
  lmmc_connections *all = s->connections;
  struct evhttp_connection *http = evhttp_request_get_connection(request);
  const int fd = bufferevent_getfd(evhttp_connection_get_bufferevent(http));
  lmmc_connection *c = fd >= 0 && (size_t)fd < all->room ? all->by_fd[fd] : NULL;
  if (!c || c->http != http) return NULL;
  unlink_one(c);
  link_last(c);
  forget_received(c);
  c->exchange = x;
  c->request = request;
  event_del(c->deadline);
  event_add(c->watch, NULL);
  bufferevent_setwatermark(c->buffer, EV_READ, 0, evbuffer_get_length(bufferevent_get_input(c->buffer)) + MOST_AHEAD);
  bufferevent_set_timeouts(c->buffer, NULL, &(struct timeval){.tv_sec = LMMC_WRITE_SECONDS});
  evhttp_request_set_on_complete_cb(request, on_sent, c);
  return c;
}

struct evhttp_request *lmmc_connection_request(const lmmc_connection *c) {
  return c->request;
}

void lmmc_connection_end(lmmc_connection *c) {
  c->exchange = NULL;
  c->request = NULL;
  c->is_sending = true;
  event_del(c->watch);
  event_del(c->deadline);
}
