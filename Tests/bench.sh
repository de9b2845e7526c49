#!/usr/bin/env bash
# Measures random-weight models at true 7B widths, in every precision, beside the machine's ceilings and every peer that is there. See bench.py --help.
exec python3 "$(dirname "${BASH_SOURCE[0]}")/../Tools/Benchmarks/bench.py" "$@"
