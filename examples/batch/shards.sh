#!/usr/bin/env bash
# One file of requests as shards that processes, on one box or several, answer each by itself, and their answers as one file again.
#   shards.sh split REQUESTS FOLDER COUNT                  FOLDER/0000.jsonl and on: whole lines in their order, about equal in bytes
#   shards.sh answer PROGRAM FOLDER NUMBER [OPTION...]     answers shard NUMBER; after whatever ended it, the same command goes on with it
#   shards.sh join FOLDER ANSWERS                          the answers in the order of REQUESTS, once all are there
# A line needs an id of its own: one without is numbered within its shard.
set -euo pipefail

fail() { echo "error: $1" >&2 && exit "${2:-1}"; }

# Split again, FOLDER stays as it is: its answers belong to these lines.
split_requests() {
  local requests=$1 folder=$2 count=$3 source part
  [[ $count =~ ^[1-9][0-9]{0,3}$ ]] || fail "'$count' is no number of shards, expected one from 1 to 9999" 2
  [ -r "$requests" ] || fail "'$requests' cannot be read"
  source="$count $(sha256sum <"$requests")"
  if [ -e "$folder" ]; then
    [ "$(cat "$folder/source" 2>/dev/null)" = "$source" ] || fail "'$folder' has no $count shards of '$requests', expected another folder"
    return
  fi
  part=$(mktemp -d "$folder.XXXXXX")
  split -n "l/$count" -d -a 4 --additional-suffix=.jsonl "$requests" "$part/"
  echo "$source" >"$part/source"
  chmod 755 "$part"
  mv -T "$part" "$folder"
}

answer() {
  local program=$1 folder=$2 shard
  shard=$folder/$(printf %04d "$((10#$3))")
  [ -e "$shard.jsonl" ] || fail "there is no shard '$shard.jsonl'" 2
  shift 3
  exec "$program" --batch "$shard.jsonl" --output "$shard.answers" --resume "$@"
}

join_answers() {
  local folder=$1 answers=$2 shard asked there part
  [ -e "$folder/source" ] || fail "'$folder' has no shards"
  for shard in "$folder"/*.jsonl; do
    asked=$(LC_ALL=C grep -a -c $'[^ \t\r]' "$shard" || true)
    there=$(wc -l 2>/dev/null <"${shard%.jsonl}.answers" || echo 0)
    [ "$asked" = "$there" ] || fail "shard '$shard' has $there of $asked answers"
  done
  part=$(mktemp "$answers.XXXXXX")
  cat "$folder"/*.answers >"$part"
  chmod 644 "$part"
  mv "$part" "$answers"
}

case "${1:-} $#" in
  "split 4") split_requests "$2" "$3" "$4" ;;
  "answer "[4-9] | "answer "[1-9][0-9]) shift && answer "$@" ;;
  "join 3") join_answers "$2" "$3" ;;
  *) sed -n '2,6s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
esac
