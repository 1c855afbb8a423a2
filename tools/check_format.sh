#!/usr/bin/env bash
# Fails and names the files that clang-format would change. `tools/check_format.sh --fix` changes them.
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t files < <(find src include bench tests tools python examples -name '*.cc' -o -name '*.h' -o -name '*.inl' | sort)
if [ "${1:-}" = --fix ]; then
  exec clang-format -i "${files[@]}"
fi
clang-format --dry-run --Werror "${files[@]}"
echo "format: ${#files[@]} files"
