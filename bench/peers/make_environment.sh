#!/bin/sh
# Makes the Python environment of the peers in a folder outside the repository:
#   bench/peers/make_environment.sh FOLDER
# llama-cpp-python is built from its source package with the flags of this CPU, and a second time for AVX2 alone into
# FOLDER/llama-avx2; the compiler, the flags and all versions are recorded in FOLDER/peers.txt, which a table quotes.
set -eu
folder=${1:?usage: make_environment.sh FOLDER}
flags="-DGGML_NATIVE=ON -DLLAMA_BUILD_TOOLS=OFF"
avx2_flags="-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON -DLLAMA_BUILD_TOOLS=OFF"
python3 -m venv "$folder"
pip="$folder/bin/pip"
printf 'torch==2.13.0\n' > "$folder/constraints.txt"
"$pip" install -q -c "$folder/constraints.txt" numpy gguf
CMAKE_ARGS="$flags" CMAKE_BUILD_PARALLEL_LEVEL=2 \
  "$pip" install --no-binary llama-cpp-python -c "$folder/constraints.txt" llama-cpp-python
CMAKE_ARGS="$avx2_flags" CMAKE_BUILD_PARALLEL_LEVEL=2 \
  "$pip" install --no-binary llama-cpp-python --no-cache-dir --no-deps --target "$folder/llama-avx2" \
  "llama-cpp-python==$("$pip" show llama-cpp-python | sed -n 's/^Version: //p')"
"$pip" install -q -c "$folder/constraints.txt" ctranslate2 openvino openvino-genai optimum-intel nncf transformers torch
"$pip" uninstall -q -y torchvision  # it comes along unasked, and another torch's breaks transformers
{
  echo "llama-cpp-python: CMAKE_ARGS=$flags; llama-avx2: $avx2_flags; $(cc --version | head -n 1)"
  grep -m 1 'model name' /proc/cpuinfo || true
  "$pip" list --format=freeze | grep -iE '^(llama|gguf|ctranslate2|openvino|optimum|nncf|torch|transformers|numpy)'
} > "$folder/peers.txt"
cat "$folder/peers.txt"
