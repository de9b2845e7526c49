#include "exchanges.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/printable.h"
#include "connections.h"
#include "hosts.h"
#include "keys.h"
#include "log.h"
#include "serve/formats/openai.h"
#include "routes.h"
#include "system/threads.h"
#include "serve/work/work.h"

// ---- they begin and end

static void name_of(enum evhttp_cmd_type type, const char **name, lmmc_methods *method) {
  static const struct {
    enum evhttp_cmd_type type;
    const char *name;
    lmmc_methods method;
  } all[] = {{EVHTTP_REQ_GET, "GET", LMMC_GET},    {EVHTTP_REQ_HEAD, "HEAD", LMMC_GET},
             {EVHTTP_REQ_POST, "POST", LMMC_POST}, {EVHTTP_REQ_DELETE, "DELETE", LMMC_DELETE},
             {EVHTTP_REQ_OPTIONS, "OPTIONS", 0},   {EVHTTP_REQ_PUT, "PUT", 0},
             {EVHTTP_REQ_PATCH, "PATCH", 0},       {EVHTTP_REQ_TRACE, "TRACE", 0},
             {EVHTTP_REQ_CONNECT, "CONNECT", 0}};
  *name = "OTHER";
  *method = 0;
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (all[i].type == type) *name = all[i].name, *method = all[i].method;
}

static lmmc_exchange *open_exchange(lmmc_server *s) {
  lmmc_exchange *x = calloc(1, sizeof *x);
  uint8_t random[16] = {0};
  if (!x) return NULL;
  (void)!getrandom(random, sizeof random, GRND_NONBLOCK);
  for (size_t i = 0; i < sizeof random; i++) snprintf(x->id + 2 * i, 3, "%02x", random[i]);
  x->server = s;
  x->created = time(NULL);
  x->began = lmmc_clock();
  x->path = "";
  x->method = "";
  x->next = s->first;
  if (s->first) s->first->before = x;
  s->first = x;
  s->open++;
  return x;
}

static void free_exchange(lmmc_exchange *x) {
  lmmc_server *s = x->server;
  if (x->timer) event_free(x->timer);
  for (int32_t i = 0; x->answers && i < x->asked.answers; i++) {
    lmmc_text_free(&x->answers[i].all.text);
    free(x->answers[i].all.tokens);
    free(x->answers[i].all.top);
  }
  free(x->answers);
  lmmc_asked_free(&x->asked);
  lmmc_text_free(&x->reply);
  *(x->before ? &x->before->next : &s->first) = x->next;
  if (x->next) x->next->before = x->before;
  s->open--;
  free(x);
}

// The client has its reply, or is gone; the exchange goes when the other threads are done with it.
static void over(lmmc_exchange *x) {
  const lmmc_server *s = x->server;
  const double seconds = lmmc_clock() - x->began;
  x->connection = NULL;
  if (x->timer) event_del(x->timer);
  lmmc_log_exchange(x, seconds);
  if (s->watch && s->watch->ended) s->watch->ended(s->watch->context, x, seconds);
  if (!x->work)
    free_exchange(x);
  else if (lmmc_work_state_of(s->work, x) != LMMC_WORK_DONE)
    lmmc_work_cancel(s->work, x);
}

void lmmc_exchange_lost(lmmc_exchange *x) { over(x); }

// ---- replies

static void add_header(struct evhttp_request *r, const char *name, const char *value) {
  evhttp_add_header(evhttp_request_get_output_headers(r), name, value);
}

static const char *header(struct evhttp_request *r, const char *name) {
  return evhttp_find_header(evhttp_request_get_input_headers(r), name);
}

// libevent takes the body of such a request for the next one; it has to be the connection's last.
static bool has_odd_body(struct evhttp_request *r) {
  const enum evhttp_cmd_type type = evhttp_request_get_command(r);
  return (type == EVHTTP_REQ_HEAD || type == EVHTTP_REQ_TRACE) && (header(r, "Content-Length") || header(r, "Transfer-Encoding"));
}

// Headers that every reply has.
static void add_headers(lmmc_exchange *x, struct evhttp_request *r, const char *type) {
  add_header(r, "Content-Type", type ? type : "application/json");
  add_header(r, "X-Request-Id", x->id);
  add_header(r, "X-Content-Type-Options", "nosniff");
  if (x->server->stopping || has_odd_body(r)) add_header(r, "Connection", "close");
}

static void send_whole(lmmc_exchange *x, int status, const char *type, const lmmc_text *body) {
  lmmc_connection *c = x->connection;
  struct evhttp_request *r = lmmc_connection_request(c);
  // libevent would send the body of a reply to HEAD too, and say nothing of its length.
  const bool is_head = evhttp_request_get_command(r) == EVHTTP_REQ_HEAD;
  struct evbuffer *out = is_head ? NULL : evbuffer_new();
  char length[24];
  if (out) evbuffer_add(out, body->bytes ? body->bytes : "", body->count);
  snprintf(length, sizeof length, "%zu", body->count);
  x->status = status;
  x->sent = is_head ? 0 : body->count;
  add_headers(x, r, type);
  if (is_head) add_header(r, "Content-Length", length);
  lmmc_connection_end(c);
  evhttp_send_reply(r, status, lmmc_status_name(status), out);
  if (out) evbuffer_free(out);
  over(x);
}

static void send_part(lmmc_exchange *x, const lmmc_text *part) {
  struct evhttp_request *r = lmmc_connection_request(x->connection);
  if (!x->streaming) {
    x->streaming = true;
    x->status = 200;
    add_headers(x, r, x->format->stream_type);
    add_header(r, "Cache-Control", "no-cache");
    add_header(r, "X-Accel-Buffering", "no");
    evhttp_send_reply_start(r, 200, lmmc_status_name(200));
  }
  struct evbuffer *out = part->count > 0 ? evbuffer_new() : NULL;
  if (!out) return;
  evbuffer_add(out, part->bytes, part->count);
  x->sent += part->count;
  evhttp_send_reply_chunk(r, out);
  evbuffer_free(out);
}

static void end_stream(lmmc_exchange *x) {
  lmmc_connection *c = x->connection;
  struct evhttp_request *r = lmmc_connection_request(c);
  lmmc_connection_end(c);
  evhttp_send_reply_end(r);
  over(x);
}

static void send_fault(lmmc_exchange *x, const lmmc_fault *f) {
  lmmc_text body = {0};
  x->fault = *f;
  (x->writes_fault ? x->writes_fault : lmmc_openai_fault)(f, x->streaming, &body);
  if (x->streaming) {
    send_part(x, &body);
    end_stream(x);
  } else {
    struct evhttp_request *r = lmmc_connection_request(x->connection);
    char seconds[16];
    snprintf(seconds, sizeof seconds, "%d", f->retry_after);
    if (f->retry_after > 0) add_header(r, "Retry-After", seconds);
    if (f->status == 401) add_header(r, "WWW-Authenticate", "Bearer");
    send_whole(x, f->status, NULL, &body);
  }
  lmmc_text_free(&body);
}

// ---- what the other threads tell

static bool append_grown(lmmc_grown *to, const lmmc_grown *from, size_t top) {
  lmmc_error e;
  const size_t before = to->text.count;
  if (!lmmc_text_append(&to->text, from->text.bytes ? from->text.bytes : "", from->text.count, &e)) return false;
  if (top == 0 && from->top_count == 0 && to->token_room == 0 && from->token_count == 0) return true;
  const size_t tokens = to->token_count + from->token_count, tops = to->top_count + from->top_count;
  if (tokens > to->token_room) {
    lmmc_told_token *larger = realloc(to->tokens, 2 * tokens * sizeof *larger);
    if (!larger) return false;
    to->tokens = larger;
    to->token_room = 2 * tokens;
  }
  if (tops > to->top_room) {
    lmmc_log_probability *larger = realloc(to->top, 2 * tops * sizeof *larger);
    if (!larger) return false;
    to->top = larger;
    to->top_room = 2 * tops;
  }
  for (size_t i = 0; i < from->token_count; i++) {
    to->tokens[to->token_count] = from->tokens[i];
    to->tokens[to->token_count++].text_at += before;
  }
  if (from->top_count > 0) memcpy(to->top + to->top_count, from->top, from->top_count * sizeof *to->top);
  to->top_count = tops;
  return true;
}

// What one answer has grown by, and whether it has ended, into `out` of a stream.
static bool take_answer(lmmc_exchange *x, int32_t index, lmmc_grown *grown, lmmc_text *out) {
  const lmmc_server *s = x->server;
  lmmc_told_answer *a = &x->answers[index];
  bool ended, done = true;
  if (a->ended) return true;
  lmmc_work_take(s->work, x, index, grown, &ended);
  if (s->watch && s->watch->grown && grown->token_count > 0) s->watch->grown(s->watch->context, x, index, grown);
  if (grown->token_count > 0) {
    a->last_at = grown->tokens[grown->token_count - 1].at;
    if (a->told == 0) a->first_at = grown->tokens[0].at;
    a->told += (int64_t)grown->token_count;
  }
  if (x->asked.streams) {
    if (grown->text.count > 0 || grown->token_count > 0) done = x->format->piece(x, index, grown, out);
  } else {
    done = append_grown(&a->all, grown, (size_t)(x->asked.top > 0 ? x->asked.top : 0));
  }
  a->text_bytes += grown->text.count;
  grown->text.count = grown->token_count = grown->top_count = 0;
  if (!ended) return done;
  a->ended = true;
  x->ended++;
  if (a->ending == LMMC_ENDED_BY_FAILURE) lmmc_refuse_error(&x->fault, NULL, NULL, &a->error);
  if (a->ending == LMMC_ENDED_BY_FAILURE) x->fault.status = 500;
  if (a->ending == LMMC_ENDED_BY_CANCEL || a->ending == LMMC_ENDED_BY_SINK)
    lmmc_refuse(&x->fault, 503, NULL, NULL, "the answer was cut: the server stops");
  if (done && x->asked.streams && !x->fault.status) done = x->format->end(x, index, out);
  return done;
}

static void tell(lmmc_exchange *x) {
  const lmmc_work_state state = lmmc_work_state_of(x->server->work, x);
  lmmc_text out = {0};
  lmmc_grown grown = {0};
  bool done = true;
  if (state == LMMC_WORK_GOES_ON) return;
  for (int32_t i = 0; done && x->answers && !x->fault.status && i < x->asked.answers; i++) done = take_answer(x, i, &grown, &out);
  if (!done) lmmc_refuse(&x->fault, 500, NULL, NULL, "out of memory for a reply");
  const bool is_whole = state == LMMC_WORK_DONE && !x->fault.status;
  if (x->fault.status) {
    // What is left of the answers is not waited for.
    if (x->streaming && out.count > 0) send_part(x, &out);
    send_fault(x, &x->fault);
  } else if (is_whole && x->reply.count > 0) {
    send_whole(x, 200, NULL, &x->reply);
  } else if (x->asked.streams) {
    if (is_whole) done = x->format->finish(x, &out);
    if (out.count > 0 || is_whole) send_part(x, &out);
    if (is_whole) end_stream(x);
  } else if (is_whole) {
    if (x->format->whole(x, &out))
      send_whole(x, 200, NULL, &out);
    else
      send_fault(x, (lmmc_refuse(&x->fault, 500, NULL, NULL, "out of memory for a reply"), &x->fault));
  }
  lmmc_text_free(&out);
  lmmc_text_free(&grown.text);
  free(grown.tokens);
  free(grown.top);
}

void lmmc_exchanges_changed(lmmc_server *s) {
  bool is_done;
  for (lmmc_exchange *x; (x = lmmc_work_changed(s->work, &is_done));) {
    if (x->connection) tell(x);
    if (!is_done) continue;
    lmmc_work_release(s->work, x);
    free_exchange(x);
  }
}

// ---- a request comes

static void on_timeout(int fd, short what, void *context) {
  lmmc_exchange *x = context;
  lmmc_fault f;
  (void)fd, (void)what;
  lmmc_refuse(&f, 503, "timeout", NULL, "the answer took longer than %lld seconds", (long long)x->server->settings->timeout);
  send_fault(x, &f);
}

void lmmc_exchanges_cut(lmmc_server *s) {
  lmmc_fault f;
  lmmc_refuse(&f, 503, "server_stopping", NULL, "the server stops");
  for (lmmc_exchange *x = s->first, *next; x; x = next) {
    next = x->next;
    if (x->connection) send_fault(x, &f);
  }
}

// Pages of other sites can have a browser send these without asking first, but not without saying where they come from.
static bool check_type(struct evhttp_request *r, lmmc_fault *f) {
  static const char *const plain[] = {"application/x-www-form-urlencoded", "text/plain"};
  const char *type = header(r, "Content-Type");
  if (header(r, "Content-Encoding")) return lmmc_refuse(f, 415, NULL, NULL, "bodies are read as they are, without 'Content-Encoding'");
  const size_t length = type ? strcspn(type, "; ") : 0;
  if ((!type && !header(r, "Origin")) ||
      (type && length == strlen("application/json") && strncasecmp(type, "application/json", length) == 0))
    return true;
  for (size_t i = 0; !header(r, "Origin") && i < sizeof plain / sizeof *plain; i++)
    if (length == strlen(plain[i]) && strncasecmp(type, plain[i], length) == 0) return true;
  return lmmc_refuse(f, 415, NULL, NULL, "the body wants the type 'application/json'");
}

static bool submit(lmmc_exchange *x, struct evhttp_request *r, lmmc_fault *f) {
  lmmc_server *s = x->server;
  struct evbuffer *in = evhttp_request_get_input_buffer(r);
  const size_t count = evbuffer_get_length(in);
  if (count == 0 && !header(r, "Content-Length") && !header(r, "Transfer-Encoding"))
    return lmmc_refuse(f, 411, NULL, NULL, "the request has no body");
  if (!check_type(r, f)) return false;
  char *body = malloc(count + 1);
  x->timer = evtimer_new(s->base, on_timeout, x);
  if (!body || !x->timer) return free(body), lmmc_refuse(f, 500, NULL, NULL, "out of memory for a request");
  evbuffer_remove(in, body, count);
  event_add(x->timer, &(struct timeval){.tv_sec = s->settings->timeout});
  return lmmc_work_submit(s->work, x, body, count, f);
}

static bool find_route(lmmc_exchange *x, struct evhttp_request *r, const char *path, lmmc_methods method, const lmmc_route **route,
                       const char **rest, lmmc_fault *f) {
  const lmmc_server *s = x->server;
  *route = lmmc_route_find(path, rest);
  if (*route) {
    x->path = (*route)->path;
    x->writes_fault = (*route)->fault;
  }
  if (s->checks_hosts && !x->is_by_path && !lmmc_host_is_local(header(r, "Host")))
    return lmmc_refuse(f, 421, "unknown_host", NULL,
                       "the request is for '%s'; a server that listens at this machine alone and wants no key answers to addresses and "
                       "'localhost'",
                       header(r, "Host"));
  if (s->keys && !(*route && (*route)->is_open) && !lmmc_keys_admit(s->keys, header(r, "Authorization")))
    return lmmc_refuse(f, 401, "invalid_api_key", NULL, "the request has no key that this server knows, as 'Authorization: Bearer KEY'");
  if (!*route) return lmmc_refuse(f, 404, "unknown_url", NULL, "there is nothing at '%s'", x->asked_path);
  if ((*route)->missing) return lmmc_refuse(f, 404, "unsupported", NULL, "%s", (*route)->missing);
  if (((*route)->methods & method) == 0) {
    char allowed[32];
    snprintf(allowed, sizeof allowed, "%s%s%s", (*route)->methods & LMMC_GET ? "GET, HEAD, " : "",
             (*route)->methods & LMMC_POST ? "POST, " : "", (*route)->methods & LMMC_DELETE ? "DELETE, " : "");
    allowed[strlen(allowed) - 2] = 0;
    add_header(r, "Allow", allowed);
    return lmmc_refuse(f, 405, NULL, NULL, "'%s' wants %s", (*route)->path, allowed);
  }
  if (s->stopping && !(*route)->is_open) return lmmc_refuse(f, 503, "server_stopping", NULL, "the server stops");
  return true;
}

static void send_instant(lmmc_exchange *x, struct evhttp_request *r, const lmmc_instant *reply) {
  const char *known = header(r, "If-None-Match");
  const bool is_known = reply->tag && known && strstr(known, reply->tag);
  for (size_t i = 0; reply->headers && reply->headers[i][0]; i++) add_header(r, reply->headers[i][0], reply->headers[i][1]);
  if (reply->tag) add_header(r, "ETag", reply->tag);
  send_whole(x, is_known ? 304 : 200, reply->type, is_known ? &(lmmc_text){0} : &reply->body);
}

void lmmc_exchange_handle(struct evhttp_request *r, void *server) {
  lmmc_server *s = server;
  lmmc_exchange *x = open_exchange(s);
  lmmc_connection *c = x ? lmmc_connection_begin(s, r, x) : NULL;
  if (!c) {
    if (x) free_exchange(x);
    evhttp_send_error(r, 503, NULL);
    return;
  }
  const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(r)), *rest;
  char *address;
  ev_uint16_t port;
  lmmc_methods method;
  const lmmc_route *route;
  lmmc_fault f = {0};
  x->connection = c;
  evhttp_connection_get_peer(evhttp_request_get_connection(r), &address, &port);
  x->is_by_path = !address || !*address;
  lmmc_printable(x->peer, sizeof x->peer, x->is_by_path ? "local" : address);
  lmmc_printable(x->asked_path, sizeof x->asked_path, path && *path ? path : "/");
  name_of(evhttp_request_get_command(r), &x->method, &method);
  if (!find_route(x, r, path && *path ? path : "/", method, &route, &rest, &f)) {
    send_fault(x, &f);
  } else if (route->instant) {
    lmmc_instant reply = {0};
    if (!route->instant(s, rest, &reply, &f)) {
      if (!f.status) lmmc_refuse(&f, 500, NULL, NULL, "out of memory for a reply");
      send_fault(x, &f);
    } else {
      send_instant(x, r, &reply);
    }
    lmmc_text_free(&reply.body);
  } else {
    x->format = route->format;
    if (!submit(x, r, &f)) send_fault(x, &f);
  }
}
