#!/usr/bin/env bash
# The README's two commands on a new machine: a bare Debian 12 in a folder, with Swift's toolchain and nothing else. By hand, as root, since
# it takes as long as all tests do:
#   Tests/fresh.sh [--folder DIR] [demo] [tests]     both by default; DIR: where the machine is made, else a temporary folder that goes again
# Needs debootstrap, and `swift` in PATH. What is built is the last commit. The machine reaches apt's mirror; where git's configuration puts
# folders of this machine in the place of addresses (url.DIR.insteadOf), those are there too, and git reaches nothing else.
set -eu
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder='' commands=''
while [ $# -gt 0 ]; do
  case $1 in
    --folder) folder=$2 && shift ;;
    demo | tests) commands="$commands $1" ;;
    *) echo "error: unknown argument '$1'; expected '--folder DIR', 'demo' or 'tests'" >&2 && exit 2 ;;
  esac
  shift
done
[ "$(id -u)" = 0 ] || { echo "error: a machine in a folder needs root" >&2; exit 1; }
for program in debootstrap swift git unshare; do
  command -v $program >/dev/null || { echo "error: there is no '$program' in PATH" >&2; exit 1; }
done
if [ -z "$folder" ]; then
  folder=$(mktemp -d)
  # What is mounted below it is so only in the namespace that ends with the commands.
  trap 'rm -rf --one-file-system "$folder"' EXIT
fi
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
# The toolchain is the folder of `usr/bin/swift`.
toolchain=$(dirname "$(dirname "$(dirname "$(readlink -f "$(command -v swift)")")")")
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources 2>/dev/null |
  sed -n -e 's/^URIs: *//p' -e 's/^deb \(\[.*\] \)\{0,1\}\(http[^ ]*\).*/\2/p' | grep -m1 '/debian/*$' || echo http://deb.debian.org/debian)

# What Swift's own image of Debian 12 has beside the toolchain, and git.
swift_packages="binutils,ca-certificates,git,libc6-dev,libcurl4-openssl-dev,libedit2,libgcc-12-dev,libncurses-dev,libpython3-dev,libsqlite3-0,libstdc++-12-dev,libxml2-dev,libz3-dev,pkg-config,tzdata,zip,zlib1g-dev"
if [ ! -e "$folder/etc/debian_version" ]; then
  debootstrap --variant=minbase --include="$swift_packages" bookworm "$folder" "$mirror" >"$folder.log" 2>&1 ||
    { tail -5 "$folder.log" >&2; exit 1; }
  rm -f "$folder.log"
fi
rm -rf "$folder/root/lmmc"
git clone -q --no-hardlinks "$root" "$folder/root/lmmc"
cp /etc/resolv.conf "$folder/etc/resolv.conf"
mkdir -p "$folder/opt/toolchain"

bound=$(git config --get-regexp '^url\..*\.insteadof$' | sed -n 's/^url\.\(\/.*\)\.insteadof .*/\1/p' | sort -u)
: >"$folder/etc/gitconfig"
git config --get-regexp '^url\..*\.insteadof$' | while read -r key value; do git config --file "$folder/etc/gitconfig" --add "$key" "$value"; done
if [ -n "$bound" ]; then
  git config --file "$folder/etc/gitconfig" protocol.allow never
  git config --file "$folder/etc/gitconfig" protocol.file.allow always
  git config --file "$folder/etc/gitconfig" safe.directory '*'
  for place in $bound; do mkdir -p "$folder$place"; done
fi

cat >"$folder/root/commands.sh" <<'SCRIPT'
export HOME=/root PATH=/opt/toolchain/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
cd /root/lmmc || exit 1
status=0
for command do
  echo "== $command"
  case $command in demo) bash examples/demo.sh ;; tests) bash Tests/run.sh ;; esac || { echo "== $command FAILED"; status=1; }
done
exit $status
SCRIPT
# shellcheck disable=SC2016
env -i FOLDER="$folder" TOOLCHAIN="$toolchain" BOUND="$bound" PATH="$PATH" unshare --mount --pid --fork --kill-child sh -euc '
  mount --rbind "$TOOLCHAIN" "$FOLDER/opt/toolchain"
  for place in $BOUND; do mount --bind "$place" "$FOLDER$place"; done
  mount -t proc proc "$FOLDER/proc"
  exec chroot "$FOLDER" /bin/bash /root/commands.sh "$@"
' sh ${commands:-demo tests}
