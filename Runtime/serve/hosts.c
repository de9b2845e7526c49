#include "hosts.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

enum { MOST_NAME = 255 };

// Whether `name` is `end`, or a name below it.
static bool is_below(const char *name, const char *end) {
  const size_t length = strlen(name), ends = strlen(end);
  return length >= ends && strcasecmp(name + length - ends, end) == 0 && (length == ends || name[length - ends - 1] == '.');
}

bool lmmc_host_is_local(const char *host) {
  char name[MOST_NAME + 1];
  struct in6_addr address;
  if (!host || !*host) return true;  // no browser leaves it out
  const bool has_brackets = host[0] == '[';
  const char *from = host + has_brackets;
  const size_t length = strcspn(from, has_brackets ? "]" : ":");
  const char *behind = from + length + (has_brackets && from[length] == ']');
  if (length > MOST_NAME || (has_brackets && from[length] != ']') || (*behind && *behind != ':')) return false;
  memcpy(name, from, length);
  name[length] = 0;
  if (length > 1 && name[length - 1] == '.') name[length - 1] = 0;
  return has_brackets ? inet_pton(AF_INET6, name, &address) == 1
                      : inet_pton(AF_INET, name, &address) == 1 || is_below(name, "localhost") || is_below(name, "internal");
}
