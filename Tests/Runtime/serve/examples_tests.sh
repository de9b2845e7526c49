#!/bin/sh
# Whether examples/serve and SECURITY.md say what is so: options and metrics that they name are there, limits are the server's, files are of
# their formats. Where a tool that reads a format is installed, it reads them. Compiles nothing.
#   examples_tests.sh [TREE]     TREE: another one, to see this test fail
set -u
root=$(cd "$(dirname "$0")" && pwd)/../../..
[ $# -eq 0 ] || root=$1
passed=0 failed=0
case "${CC:-gcc} ${CFLAGS:-}" in *clang*|*sanitize*) echo "skipped: files are the same for each compiler"; echo "0 passed, 0 failed"; exit 0 ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root/examples/serve" || exit 1
expect() {  # WHAT FOUND: nothing may be found
  if [ -z "$2" ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "$1:" $2; fi
}
# try WHAT COMMAND...: whether it succeeds; its words where it does not.
try() {
  what=$1
  shift
  if "$@" >"$work/log" 2>&1; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "$what:"; cat "$work/log"; fi
}
# is_here TOOL: whether it is installed.
is_here() { command -v "$1" >/dev/null || PATH=$PATH:/usr/sbin command -v "$1" >/dev/null || { echo "not run: what '$1' says of examples/serve, which is not installed"; return 1; }; }
server=$root/Runtime/serve options=$root/Runtime/app/options.c

# ---- what is named
expect "files that the README does not name" "$(for file in [!R]*; do grep -q -F "$file" README.md || echo "$file"; done)"
# Those of podman, install and systemctl; the script of many clients has its own.
others="--read-only --cap-drop --security-opt --rm --memory --cpus --now --link"
wrong=
for option in $(cat $(ls | grep -v -x load.py) "$root/SECURITY.md" | grep -o -E '(^|[^-a-z])--[a-z][-a-z]+' | grep -o -E -e '--[-a-z]+' | sort -u); do
  case " $others " in *" $option "*) continue ;; esac
  grep -q -F "{\"$option\"" "$options" || wrong="$wrong $option"
done
expect "options that programs do not have" "$wrong"

# The quantiles, sums and counts of a histogram are told by its name.
metrics=$(python3 - <<'END'
import json, re
board = json.load(open("grafana.json"))
texts = [target["expr"] for panel in board["panels"] for target in panel["targets"]] + [v["query"] for v in board["templating"]["list"]]
names = {re.sub("_bucket$", "", name) for text in texts for name in re.findall(r"[a-z0-9_:]*[:_][a-z0-9_:]+(?=[{,])", text)}
print(" ".join(sorted(names - {"histogram_quantile", "label_values"})))
END
)
wrong=
for name in $metrics; do grep -r -q -F "\"$name" "$server" || wrong="$wrong $name"; done
expect "metrics that no server tells" "$wrong"
expect "fewer metrics than the board has panels for" "$([ "$(echo "$metrics" | wc -w)" -ge 15 ] || echo "$metrics")"

# ---- what is said
unit() { sed -n "s/^$1=//p" lmmc-serve.service; }
expect "what the service leaves to its threads" "$(for call in seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self sched_setaffinity; do
  unit SystemCallFilter | grep -q -w "$call" || echo "$call"; done)"
grace=$(unit ExecStart | sed 's/.*--grace \([0-9]*\).*/\1/')
expect "a time to stop that is not above the grace" "$([ "$(unit TimeoutStopSec)" -gt "$grace" ] || unit TimeoutStopSec)"
expect "lines of the units that are none" "$(grep -h -v -E '^($|#|\[[A-Z][a-z]+\]$|[A-Z][A-Za-z]+=)' lmmc-serve.service lmmc-serve.socket)"
expect "what the image holds beside the program" "$(grep -E '^(FROM|COPY|ADD|RUN)' Containerfile | grep -v -x -e 'FROM scratch' -e 'COPY answer /answer')"
timeout=$(unit ExecStart | sed 's/.*--timeout \([0-9]*\).*/\1/')
expect "proxies that wait less than the program" "$(grep -h -o -E '(read|send|header)_timeout +[0-9]+' nginx.conf Caddyfile | awk -v t="$timeout" '$2 <= t')"
limit() { sed -n "s/^\(#define  *\| *\)$1\( =\|  *\) *\([0-9]*\).*/\3/p" "$server/exchange/server.h" | head -1; }
wrong=
for said in "LMMC_MOST_BODY|%s MiB of body" "LMMC_MOST_HEADERS|%s KiB of head" "LMMC_WRITE_SECONDS|%s seconds that a reply" "LMMC_MOST_CONNECTIONS|%s connections" \
  "LMMC_RECEIVE_SECONDS|%s seconds to arrive"; do
  # shellcheck disable=SC2059
  tr '\n' ' ' <"$root/SECURITY.md" | grep -q -F "$(printf "${said#*|}" "$(limit "${said%%|*}")")" || wrong="$wrong ${said%%|*}"
done
expect "limits that SECURITY.md has otherwise" "$wrong"
expect "proxies with another limit of bodies" "$(grep -h -E 'client_max_body_size|max_size' nginx.conf Caddyfile | grep -v -w -i -E "$(limit LMMC_MOST_BODY)(m|MiB);?")"

expect "a server that gives up nothing" "$(grep -l 'lmmc_sandbox_enter(' "$server"/*.c | grep -q -v 'sandbox\.c$' || echo "nobody calls lmmc_sandbox_enter")"

# ---- whether it is read
if is_here systemd-analyze; then
  sed 's|/usr/local/bin/answer|/bin/true|' lmmc-serve.service >"$work/lmmc-serve.service" && cp lmmc-serve.socket "$work"
  systemd-analyze verify "$work/lmmc-serve.service" "$work/lmmc-serve.socket" >"$work/verify" 2>&1
  expect "systemd-analyze verify" "$(cat "$work/verify")"
  # Before systemd 250 it looks at running services alone.
  if systemd-analyze --help | grep -q -e --offline; then
    try "systemd-analyze security" systemd-analyze --no-pager security --offline=true --threshold=10 lmmc-serve.service
  fi
fi
if is_here nginx && is_here openssl; then
  openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key" -out "$work/certificate" -subj /CN=x -days 1 2>/dev/null
  { echo "pid $work/pid; error_log stderr; events {} http { access_log off;"
    sed "s|/etc/ssl/.*fullchain.pem|$work/certificate|; s|/etc/ssl/.*privkey.pem|$work/key|" nginx.conf
    echo "}"; } >"$work/nginx.conf"
  PATH=$PATH:/usr/sbin try "nginx -t" nginx -t -q -e stderr -c "$work/nginx.conf"
fi
if is_here caddy; then HOME=$work XDG_DATA_HOME=$work XDG_CONFIG_HOME=$work try "caddy validate" caddy validate --adapter caddyfile --config Caddyfile; fi
if is_here promtool; then
  try "promtool check config" promtool check config --syntax-only prometheus.yml
  python3 - >"$work/rules.yml" <<'END'
import json
expressions = [target["expr"] for panel in json.load(open("grafana.json"))["panels"] for target in panel["targets"]]
plain = [e.replace("$__rate_interval", "5m").replace("$job", "a").replace("$instance", "b") for e in expressions]
print(json.dumps({"groups": [{"name": "board", "rules": [{"record": f"board:{i}", "expr": e} for i, e in enumerate(plain)]}]}))
END
  try "promtool check rules" promtool check rules "$work/rules.yml"
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
