#include "sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/printable.h"

enum { BACKLOG = 512, FIRST_OF_SYSTEMD = 3 };

typedef union {
  struct sockaddr any;
  struct sockaddr_in four;
  struct sockaddr_in6 six;
  struct sockaddr_un path;
} place;

static bool wrong(const char *text, lmmc_error *e) {
  return lmmc_fail(e, 2, "option '--serve' wants ADDR:PORT, [ADDR]:PORT, PORT or unix:PATH, not '%s'", text);
}

static bool parse_port(const char *text, in_port_t *port) {
  unsigned value = 0;
  if (!*text || strlen(text) > 5) return false;
  for (; *text; text++) {
    if (*text < '0' || *text > '9') return false;
    value = value * 10 + (unsigned)(*text - '0');
  }
  *port = htons((in_port_t)value);
  return value <= UINT16_MAX;
}

// A number, since names would be looked up by what a static program has none of.
static bool parse(const char *text, place *p, socklen_t *length, lmmc_error *e) {
  char host[64] = "127.0.0.1";
  in_port_t port;
  const char *colon = strrchr(text, ':');
  if (colon) {
    const bool has_brackets = text[0] == '[' && colon > text + 1 && colon[-1] == ']';
    const char *from = text + has_brackets;
    const size_t count = (size_t)(colon - from) - has_brackets;
    if (count == 0 || count >= sizeof host) return wrong(text, e);
    memcpy(host, from, count);
    host[count] = 0;
    if (strcmp(host, "localhost") == 0) strcpy(host, "127.0.0.1");
    if (!has_brackets && strchr(host, ':')) return wrong(text, e);
  }
  if (!parse_port(colon ? colon + 1 : text, &port)) return wrong(text, e);
  *p = (place){0};
  if (inet_pton(AF_INET, host, &p->four.sin_addr) == 1) {
    p->four.sin_family = AF_INET;
    p->four.sin_port = port;
    *length = sizeof p->four;
  } else if (inet_pton(AF_INET6, host, &p->six.sin6_addr) == 1) {
    p->six.sin6_family = AF_INET6;
    p->six.sin6_port = port;
    *length = sizeof p->six;
  } else {
    return wrong(text, e);
  }
  return true;
}

// What a socket that is listened on is called, and whether others than this machine reach it; false where nobody could ask it over HTTP.
static bool name_of(lmmc_sockets *s, int index) {
  const int fd = s->fds[index];
  char *name = s->names[index];
  const size_t size = sizeof s->names[index];
  place p = {0};
  socklen_t length = sizeof p;
  char host[INET6_ADDRSTRLEN];
  if (getsockname(fd, &p.any, &length) != 0) return false;
  switch (p.any.sa_family) {
    case AF_INET:
      inet_ntop(AF_INET, &p.four.sin_addr, host, sizeof host);
      snprintf(name, size, "http://%s:%u", host, ntohs(p.four.sin_port));
      *(ntohl(p.four.sin_addr.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET ? &s->is_local : &s->is_for_all) = true;
      return true;
    case AF_INET6: {
      inet_ntop(AF_INET6, &p.six.sin6_addr, host, sizeof host);
      snprintf(name, size, "http://[%s]:%u", host, ntohs(p.six.sin6_port));
      const bool is_mapped = IN6_IS_ADDR_V4MAPPED(&p.six.sin6_addr) && p.six.sin6_addr.s6_addr[12] == IN_LOOPBACKNET;
      *(is_mapped || IN6_IS_ADDR_LOOPBACK(&p.six.sin6_addr) ? &s->is_local : &s->is_for_all) = true;
      return true;
    }
    case AF_UNIX: {
      char path[sizeof p.path.sun_path + 1] = "", shown[sizeof p.path.sun_path + 16];
      memcpy(path, p.path.sun_path, sizeof p.path.sun_path);
      lmmc_printable(shown, sizeof shown, path);
      snprintf(name, size, "unix:%s", shown);
      return true;
    }
    default: return false;
  }
}

static bool add(lmmc_sockets *s, int fd) {
  s->fds[s->count++] = fd;
  return name_of(s, s->count - 1);
}

static bool listen_at(lmmc_sockets *s, const place *p, socklen_t length, const char *address, lmmc_error *e) {
  const int fd = socket(p->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
  if (fd < 0) return lmmc_fail(e, 1, "no socket can be had: %s", lmmc_reason(errno).text);
  s->fds[s->count++] = fd;
  if (p->any.sa_family != AF_UNIX) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, &p->any, length) != 0) return lmmc_fail(e, 1, "'%s' cannot be listened at: %s", address, lmmc_reason(errno).text);
  if (p->any.sa_family == AF_UNIX) s->path = address + strlen("unix:");
  if (listen(fd, BACKLOG) != 0) return lmmc_fail(e, 1, "'%s' cannot be listened at: %s", address, lmmc_reason(errno).text);
  return name_of(s, s->count - 1);
}

// A socket that nobody listens at any more was left by a server that was killed.
static bool listen_at_path(lmmc_sockets *s, const char *address, lmmc_error *e) {
  const char *path = address + strlen("unix:");
  place p = {.path.sun_family = AF_UNIX};
  struct stat there;
  if (!*path || strlen(path) >= sizeof p.path.sun_path)
    return lmmc_fail(e, 2, "option '--serve': the path of a socket has 1 to %zu bytes", sizeof p.path.sun_path - 1);
  strcpy(p.path.sun_path, path);
  if (lstat(path, &there) == 0 && S_ISSOCK(there.st_mode)) {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool is_left = fd >= 0 && connect(fd, &p.any, sizeof p.path) != 0 && errno == ECONNREFUSED;
    if (fd >= 0) close(fd);
    if (is_left) unlink(path);
  }
  return listen_at(s, &p, sizeof p.path, address, e);
}

// As sd_listen_fds(3) has it.
static int handed_over(void) {
  const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
  if (!pid || !count || strtol(pid, NULL, 10) != (long)getpid()) return 0;
  const long n = strtol(count, NULL, 10);
  return n < 0 ? 0 : n > LMMC_MOST_SOCKETS ? LMMC_MOST_SOCKETS : (int)n;
}

static bool take_over(lmmc_sockets *s, int count, lmmc_error *e) {
  for (int i = 0; i < count; i++) {
    const int fd = FIRST_OF_SYSTEMD + i, flags = fcntl(fd, F_GETFL);
    int listens = 0;
    socklen_t length = sizeof listens;
    if (flags < 0 || getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) != 0 || !listens || !add(s, fd))
      return lmmc_fail(e, 1, "descriptor %d, which the service manager hands over, is no socket that listens", fd);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
  return true;
}

bool lmmc_sockets_open(lmmc_sockets *s, const char *address, lmmc_error *e) {
  place p;
  socklen_t length = 0;
  *s = (lmmc_sockets){0};
  const int count = address ? 0 : handed_over();
  if (count > 0) return take_over(s, count, e);
  if (!address) address = "127.0.0.1:8080";
  if (strncmp(address, "unix:", 5) == 0) return listen_at_path(s, address, e);
  return parse(address, &p, &length, e) && listen_at(s, &p, length, address, e);
}

void lmmc_sockets_close(lmmc_sockets *s) {
  for (int i = 0; i < s->count; i++)
    if (s->fds[i] >= 0) close(s->fds[i]);
  if (s->path) unlink(s->path);
  *s = (lmmc_sockets){0};
}
