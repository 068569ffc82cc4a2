#!/bin/sh
# scripts/setup.sh VENV SET: make VENV if it is not there, and install this project and the
# dependencies of SET (run, bench or dev) into it. Dependencies come as wheels or not at all: a
# machine without a compiler gets the same as any other.
set -eu
cd "$(dirname "$0")/.."
venv=$1
set=$2
python=${PYTHON:-python3}

case $set in
  run) what=. covers=run ;;
  bench) what='.[bench,fast]' covers='run bench' ;;
  dev) what='.[dev]' covers='run dev' ;;
  *) echo "setup: unknown set $set" >&2; exit 2 ;;
esac

if [ ! -x "$venv/bin/python" ]; then
  if ! command -v "$python" >/dev/null 2>&1; then
    echo "setup: there is no '$python' here; name one with: make PYTHON=/path/to/python3.11" >&2
    exit 1
  fi
  if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "setup: $python is $("$python" -V 2>&1), and raftify needs 3.11 or newer;" \
      "name another with: make PYTHON=python3.11" >&2
    exit 1
  fi
  echo "setup: making $venv with $("$python" -V)"
  if ! "$python" -m venv "$venv"; then
    rm -rf "$venv"
    echo "setup: '$python -m venv' failed; on Debian and Ubuntu it needs the package" \
      "python3-venv" >&2
    exit 1
  fi
fi

# A venv whose making was interrupted has no pip yet.
"$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip --upgrade

echo "setup: installing what '$set' needs"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  --only-binary :all: --editable "$what"
for name in $covers; do touch "$venv/.installed-$name"; done
