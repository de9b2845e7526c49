#!/usr/bin/env bash
# Answers of the example under a fixed set of schemas, which Debian's python3-jsonschema judges. The last line is `N passed, M failed`.
#   LMMC=.build/release/lmmc Tests/schemas.sh
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! /usr/bin/python3 -c 'import jsonschema' 2>/dev/null; then
  echo "not run: answers under schemas; there is no Python module jsonschema (python3-jsonschema)"
  echo "0 passed, 0 failed"
  exit
fi
"$LMMC" compile examples/fashion/checkpoint -o "$work/program" --quiet || { echo "0 passed, 1 failed"; exit 1; }
/usr/bin/python3 Tests/Runtime/grammar/schemas.py --program "$work/program" --generated 40 --seeds 1 --temperature 1 --ends 0.85
