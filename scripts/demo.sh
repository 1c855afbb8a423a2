#!/usr/bin/env bash
# The quick start: installs what is missing, builds, quantizes models/demo, compares and writes text. A second run only
# does what changed.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh build
cmake --preset release -DOCTAVO_TESTS=OFF -B build/release >/dev/null
cmake --build build/release --target octavo

octavo=build/release/octavo
prose=tests/data/prose.txt
out=build/demo
mkdir -p "$out"

quantize() {  # RECIPE [OPTIONS]: skipped when the result is newer than the program and the model
  local recipe=$1 target=$out/octavo-demo-$1
  shift
  if [ "$target/quant_report.json" -nt "$octavo" ] && [ "$target/quant_report.json" -nt models/demo/model.safetensors ]; then
    echo "$target is up to date"
  else
    "$octavo" quantize models/demo -o "$target" --recipe "$recipe" --overwrite "$@"
  fi
}
