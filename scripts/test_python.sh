#!/usr/bin/env bash
# Builds the Python package into build/venv and runs its tests. Called by test.sh. What did not change is not done again.
#   scripts/test_python.sh [pytest's arguments]
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh python
venv=build/venv
requirements=python/requirements-dev.txt
installed=$venv/octavo_installed

[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
export PIP_DISABLE_PIP_VERSION_CHECK=1
if ! cmp -s "$requirements" "$venv/requirements.txt"; then
  "$venv/bin/pip" install --quiet --requirement "$requirements"
  cp "$requirements" "$venv/requirements.txt"
  rm -f "$installed"
fi
sources=(CMakeLists.txt pyproject.toml cmake include src python/native python/octavo)
if [ ! -e "$installed" ] || [ -n "$(find "${sources[@]}" -newer "$installed" -not -name '*.pyc' -not -name __pycache__ -print -quit)" ]; then
  touch "$installed.begun"
  "$venv/bin/pip" install --quiet --no-build-isolation --no-deps .
  mv "$installed.begun" "$installed"
fi
"$venv/bin/python" -m pytest --quiet "$@"
