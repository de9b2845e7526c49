#!/usr/bin/env bash
# Whether every Swift and C file is as the repository's configurations (.swift-format, .clang-format) would have it. Formatters differ by version, so
# each is asked only where it has the pinned one. Exit code 1 when a file is not.
#   Tests/format.sh [--fix]     --fix formats them
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
swift_pinned=6.3.1 clang_pinned=14.0.6
swift_paths="Package.swift Sources Tests Tools"
# The tables of unicode.h are as their script prints them.
c_files=$(find Runtime Sources Tests Tools \( -name '*.c' -o -name '*.h' \) ! -name unicode.h | sort)
status=0

version=$(swift format --version 2>/dev/null)
if [ "$version" != $swift_pinned ]; then
  echo "not run: swift format, which is ${version:-not there}; expected $swift_pinned"
elif [ "${1:-}" = --fix ]; then
  swift format --in-place --recursive --parallel $swift_paths
else
  swift format lint --strict --recursive --parallel $swift_paths || status=1
fi

version=$(clang-format --version 2>/dev/null | grep -o '[0-9][0-9.]*' | head -1)
if [ "$version" != $clang_pinned ]; then
  echo "not run: clang-format, which is ${version:-not there}; expected $clang_pinned"
elif [ "${1:-}" = --fix ]; then
  clang-format -i $c_files
else
  clang-format --dry-run -Werror $c_files || status=1
fi
exit $status
