#!/usr/bin/env bash
# All tests. Default: GCC release build and AddressSanitizer + UndefinedBehaviorSanitizer.
# The Python package is tested after the release build.
#   scripts/test.sh --all   also Clang, ThreadSanitizer and a short run of every fuzzer
set -euo pipefail
cd "$(dirname "$0")/.."

presets=(release asan)
packages=test
for argument in "$@"; do
  case "$argument" in
    --all) presets=(release asan tsan clang); packages=all ;;
    *) echo "usage: scripts/test.sh [--all]" >&2; exit 2 ;;
  esac
done
scripts/setup.sh "$packages"

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1}
for preset in "${presets[@]}"; do
  echo "== $preset"
  cmake --preset "$preset" -DOCTAVO_TESTS=ON >/dev/null
  cmake --build --preset "$preset"
  ctest --preset "$preset" -j "$(nproc)"
  if [ "$preset" = release ]; then scripts/test_python.sh; fi
done

if [ "$packages" = all ]; then
  echo "== fuzz, 30 s each"
  cmake --preset fuzz -DOCTAVO_TESTS=OFF >/dev/null
  cmake --build --preset fuzz
  for fuzzer in build/fuzz/src/*/*_fuzz; do
    corpus=build/fuzz/corpus/$(basename "$fuzzer")
    mkdir -p "$corpus"
    "$fuzzer" "$corpus" -max_total_time=30 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
  done
fi
