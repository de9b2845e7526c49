// Whether a request is for this machine by a name that is nobody else's.
#ifndef LMMC_SERVE_HOSTS_H
#define LMMC_SERVE_HOSTS_H

#include <stdbool.h>

// Whether the value of a Host header, or NULL, is an address, or "localhost", "internal" (host.docker.internal) or a name below these, which
// no name server of the internet answers for; with a port or not. A page of another site can have a name of its own lead here (DNS rebinding), so that its requests are no other site's to the browser; it cannot give these away.
bool lmmc_host_is_local(const char *host);

#endif
