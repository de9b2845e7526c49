#!/bin/sh
# A compiler for `lmmc compile --cc` that links play.c in the place of a program's main.c; PLAY_CC is the compiler, gcc where it is not set.
folder=$(dirname "$0") runtime=$(dirname "$0")/../../../Runtime
case " $* " in
  *" -c "*) ;;
  *app-main.c.o\ *) exec "${PLAY_CC:-gcc}" -std=gnu11 -O1 -Wall -Wextra -Werror -I"$runtime" -I"$runtime/contract" "$folder/play.c" -Wl,-z,muldefs "$@" ;;
esac
exec "${PLAY_CC:-gcc}" "$@"
