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

# What compiled programs are built from.
program_libraries="libjpeg-dev libpng-dev libwebp-dev zlib1g-dev libopenblas-openmp-dev"
build_packages="gcc libc6-dev $program_libraries"
