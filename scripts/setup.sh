#!/usr/bin/env bash
# Installs what building and testing need on Debian 12, and nothing that is already there. Called by demo.sh and test.sh.
set -euo pipefail
packages=(
  g++ cmake ninja-build pkg-config ccache python3
  libboost1.81-dev libboost-json1.81-dev libyaml-dev libpcre2-dev libutf8proc-dev libcli11-dev
)
case "${1:-build}" in
  build) ;;
  python) packages+=(python3-dev python3-venv) ;;
  test) packages+=(libgtest-dev libsimde-dev clang-format git python3-dev python3-venv) ;;
  all) packages+=(libgtest-dev libsimde-dev clang-format git python3-dev python3-venv clang libclang-rt-14-dev libbenchmark-dev valgrind) ;;
  *) echo "usage: scripts/setup.sh [build|python|test|all]" >&2; exit 2 ;;
esac

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "setup: run as root (or install sudo) to install: ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "setup: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
