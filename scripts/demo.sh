#!/usr/bin/env bash
# The quick start: installs what is missing, builds, quantizes models/demo, compares and writes text. A second run only
# does what changed.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh build
cmake --preset release -DOCTAVO_TESTS=OFF >/dev/null
cmake --build --preset release --target octavo

octavo=build/release/octavo
prose=tests/data/prose.txt
out=build/demo
mkdir -p "$out"

quantize() {  # RECIPE [OPTIONS]: skipped when the result is newer than the program and the model
  local target=$out/$1
  if [ "$target/quant_report.json" -nt "$octavo" ] && [ "$target/quant_report.json" -nt models/demo/model.safetensors ]; then
    echo "$target is up to date"
  else
    "$octavo" quantize models/demo -o "$target" --recipe "$1" --overwrite "${@:2}"
  fi
}

echo
echo "== bf16 -> int8, plain rounding and SmoothQuant"
quantize rtn-w8a8
if [ ! "$out/self.txt" -nt "$octavo" ]; then  # calibration text: what the model itself writes
  for beginning in The It In He She My They There When But 元年 初 太祖 乃 是时 后来; do
    printf '%s' "$beginning"
    "$octavo" generate models/demo --prompt "$beginning" --max-tokens 280 --ignore-eos --temperature 1 --seed 1 2>>"$out/self.log"
    echo
  done >"$out/self.txt.part"
  mv "$out/self.txt.part" "$out/self.txt"
fi
quantize w8a8 --calib "text:$out/self.txt" --length 256

echo
echo "== what it costs"
tools/accuracy_table.py models/demo "$out/rtn-w8a8" "$out/w8a8" --octavo "$octavo" --text "$prose" --window 128

echo
echo "== and it writes (sampled, seed 2)"
"$octavo" generate "$out/w8a8" --prompt "It was a dark and stormy night" --max-tokens 60 --temperature 0.8 --seed 2
