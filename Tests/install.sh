# Sourced by the scripts that a fresh machine starts with: installs by apt what is missing, and only that.
#   install_missing PACKAGE...
install_missing() {
  missing=
  for package in "$@"; do
    dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || missing="$missing $package"
  done
  [ -z "$missing" ] && return 0
  echo "installing:$missing" >&2
  sudo=
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "error: packages are missing:$missing; run as root or install sudo" >&2; return 1; }
    sudo=sudo
  fi
  # The lists of a fresh image may be empty or old, so they are fetched when the first attempt fails.
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 && return 0
  $sudo apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing >&2
}

# install_foreign ARCHITECTURE PACKAGE...: the same of packages for another architecture, beside this machine's. When the sources do not
# have it (Ubuntu's main archive has no arm64), everything is left as it was.
install_foreign() {
  foreign=$1 names= added=
  shift
  for package in "$@"; do names="$names $package:$foreign"; done
  if [ "$(dpkg --print-architecture)" = "$foreign" ]; then install_missing "$@"; return; fi
  sudo=
  [ "$(id -u)" = 0 ] || sudo=sudo
  if ! dpkg --print-foreign-architectures | grep -q -x "$foreign"; then
    $sudo dpkg --add-architecture "$foreign" || return 1
    added=1
    $sudo apt-get update -qq >&2
  fi
  # shellcheck disable=SC2086
  install_missing $names && return 0
  [ -z "$added" ] || { $sudo dpkg --remove-architecture "$foreign" && $sudo apt-get update -qq; } >&2
  return 1
}

# unpack_foreign ARCHITECTURE PACKAGE: the files of one that cannot stand beside this machine's own, which has the same headers.
unpack_foreign() {
  dpkg --print-foreign-architectures | grep -q -x "$1" || return 1
  sudo=
  [ "$(id -u)" = 0 ] || sudo=sudo
  unpacked=$(mktemp -d)
  (cd "$unpacked" && apt-get download -qq "$2:$1" >/dev/null 2>&1 && $sudo dpkg -x ./*.deb /)
  result=$?
  rm -rf "$unpacked"
  return $result
}

# working_compiler NAME: the first program of this name, in /usr/bin and then in PATH, that makes OpenMP programs; a Swift toolchain's clang,
# which may come first in PATH, makes none. The name itself where there is none, so that using it says what is wrong.
working_compiler() {
  work_of_compiler=$(mktemp -d)
  printf '#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n' >"$work_of_compiler/try.c"
  found=$1
  old_ifs=$IFS
  IFS=:
  for place in /usr/bin $PATH; do
    if "$place/$1" -fopenmp "$work_of_compiler/try.c" -o "$work_of_compiler/try" 2>/dev/null; then found=$place/$1 && break; fi
  done
  IFS=$old_ifs
  rm -rf "$work_of_compiler"
  echo "$found"
}

# What compiled programs are built from.
program_libraries="libjpeg-dev libpng-dev libwebp-dev zlib1g-dev libjansson-dev libedit-dev libopenblas-openmp-dev"
# And those that serve.
server_library=libevent-dev
build_packages="gcc libc6-dev $program_libraries $server_library"
