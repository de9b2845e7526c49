#!/usr/bin/env bash
# From a fresh Debian or Ubuntu with Swift 6 to an answer: installs what is missing, builds lmmc, compiles the example
# checkpoint into one executable, and asks that about a picture.
#   examples/demo.sh [--scratch-path DIR]     where the Swift build goes, .build by default
set -eu
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
. Tests/install.sh
scratch=$root/.build
[ "${1:-}" = --scratch-path ] && scratch=$2
install_missing $build_packages
command -v swift >/dev/null || { echo "error: there is no 'swift' in PATH; expected Swift 6.1 or later" >&2; exit 1; }

echo "building lmmc" >&2
swift build --scratch-path "$scratch" -c release --static-swift-stdlib --product lmmc >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$scratch/release/lmmc" compile examples/fashion/checkpoint -o "$work/fashion"
ls -lh "$work/fashion" >&2

image=examples/fashion/$(sed -n 's/.*"image": "\([^"]*\.png\)".*/\1/p' examples/fashion/questions.json | head -1)
question=$(sed -n 's/.*"question": "\([^"]*\)".*/\1/p' examples/fashion/questions.json | head -1)
echo "image: $image" >&2
echo "question: $question" >&2
"$work/fashion" --image "$image" --prompt "$question"
