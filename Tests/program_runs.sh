# Sourced by the scripts that measure one program: `PROGRAM [--runs N]` into program and runs (5), else the script's head and exit code 2.
[ $# -ge 1 ] && [ -x "$1" ] || { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
program=$(realpath "$1") runs=5
shift
while [ $# -gt 0 ]; do
  case $1 in
    --runs) runs=$2 && shift 2 ;;
    *) echo "error: unknown option '$1'; expected '--runs'" >&2; exit 2 ;;
  esac
done
