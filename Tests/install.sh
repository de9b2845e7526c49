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

# What compiled programs are built from.
build_packages="gcc libc6-dev libjpeg-dev libpng-dev libwebp-dev zlib1g-dev libopenblas-openmp-dev"
