#!/bin/sh
# Runs the clients that people have against a program that serves: OpenAI's and Ollama's own Python clients, LangChain, schemathesis, a
# reader of Prometheus's format, recorded requests, and a load of many clients. Installs from PyPI, so it is no part of run.sh.
#   clients.sh [PROGRAM]     PROGRAM: compiled with a context of 256 tokens or more; else one around the fake model of the tests
#   ONLY="openai replay" clients.sh     some of: openai ollama langchain replay schemathesis metrics load
#   VENV=FOLDER clients.sh   an environment that is kept
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
serve=$root/Tests/Runtime/serve
only=${ONLY:-openai ollama langchain replay schemathesis metrics load}
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
venv=${VENV:-$work/venv}
python=$venv/bin/python
export PYTHONDONTWRITEBYTECODE=1
[ -x "$python" ] || python3 -m venv "$venv"
"$python" -m pip install -q --disable-pip-version-check openai ollama langchain-openai schemathesis prometheus_client
"$python" -m pip freeze | grep -iE '^(openai|ollama|langchain-openai|schemathesis|prometheus.client)==' | tr '\n' ' '
echo

if [ $# -gt 0 ]; then
  program=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
else
  program=$work/fake
  PROGRAM=$program sh "$serve/serve_tests.sh"
fi

failed=0
runs() { case " $only " in *" $1 "*) ;; *) return 1 ;; esac; }

# start OPTION...: a server, whose address is then in `address`.
start() {
  "$program" --serve 127.0.0.1:0 "$@" 2>"$work/log" >/dev/null &
  server=$!
  address=
  for _ in $(seq 100); do
    address=$(sed -n 's/^listening on \(http:[^ ]*\).*/\1/p' "$work/log")
    [ -z "$address" ] || return 0
    sleep 0.1
  done
  cat "$work/log"
  exit 1
}

stop() {
  kill -TERM "$server"
  wait "$server" || { echo "the server ended with $?"; failed=1; }
  server=
}

for client in openai ollama langchain; do
  ! runs "$client" || "$python" "$serve/${client}_client.py" "$program" || failed=1
done
! runs replay || "$python" "$serve/replay.py" "$program" || failed=1

# What a schema of JSON cannot say (a prompt fits the context, roles take turns, base64 is a picture) is refused with 400, so requests that
# the document allows may be.
if runs schemathesis; then
  start --max-tokens 4
  "$venv/bin/schemathesis" --config-file "$serve/schemathesis.toml" run "$address/openapi.json" --checks all \
    --exclude-checks positive_data_acceptance --max-examples "${EXAMPLES:-40}" --request-timeout 30 --seed "${SEED:-1}" \
    --continue-on-failure >"$work/schemathesis" 2>&1 || { failed=1 && tail -150 "$work/schemathesis"; }
  sed -n 's/^ *\([0-9].* generated, .*\)/schemathesis: \1/p' "$work/schemathesis"
  stop
fi

if runs metrics; then
  start
  "$python" "$serve/metrics_client.py" "$address" || failed=1
  stop
fi

if runs load; then
  start --queue 64
  for api in openai ollama; do
    echo "load, $api:"
    python3 "$root/examples/serve/load.py" "$address" --api "$api" --clients 16 --seconds "${SECONDS_OF_LOAD:-10}" --max-tokens 16 \
      --pid "$server" --leave 0.05 || failed=1
  done
  stop
fi
exit $failed
