#!/bin/sh
# Makes the environment in .venv from requirements.lock. Every way to fail ends in one line that says
# what to do; the whole output of pip is in .venv/setup.log.
set -u
cd "$(dirname "$0")/.." || exit 1

fail() {
    echo "setup: $*" >&2
    exit 1
}

# A Python that runs (a shim may exist without its Python), of a version that the lock covers.
suits() {
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null
}

if [ -n "${PYTHON:-}" ]; then
    suits "$PYTHON" || fail "PYTHON=$PYTHON is no Python 3.10, 3.11 or 3.12; name one, e.g. make book PYTHON=python3.11"
    python=$PYTHON
else
    python=
    for candidate in python3.11 python3.12 python3.10 python3 python; do
        if command -v "$candidate" >/dev/null 2>&1 && suits "$candidate"; then
            python=$candidate
            break
        fi
    done
    [ -n "$python" ] || fail "found no Python 3.10, 3.11 or 3.12; install one, or name it: make book PYTHON=/path/to/python3.11"
fi
case "$(uname -sm)" in
    "Linux x86_64" | "Linux aarch64" | "Darwin arm64") ;;
    *) fail "$(uname -sm) is not covered by the lock; use Linux (x86-64 or arm64), macOS on Apple silicon, or Binder" ;;
esac
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
    fail "$python lacks venv; install it (Debian and Ubuntu: apt install python3-venv)"

# 3.7 GB on Linux x86-64, and as much again while wheels are unpacked. Set-up resumes: what is there counts.
have=$(du -sk .venv 2>/dev/null | cut -f1)
free=$(df -Pk . | awk 'NR == 2 {print $4}')
[ $((${have:-0} + free)) -gt 5000000 ] ||
    fail "the environment needs 5 GB and this disk has $((free / 1000000)) GB free; make room and run make again"

started=$(date +%s)
echo "setup: making the environment in .venv with $("$python" --version 2>&1) (a few minutes, once)"
if [ -x .venv/bin/python ] && ! suits .venv/bin/python; then
    rm -rf .venv # left from a Python that is gone
fi
rm -f .venv/.complete
[ -x .venv/bin/python ] || "$python" -m venv .venv 2>/dev/null ||
    fail "could not make .venv here; is the folder writable and the disk not full?"

log=.venv/setup.log
: >"$log" || fail "could not write to .venv; is the disk full?"
run() {
    "$@" >>"$log" 2>&1 && return
    if grep -q -e 'No space left' -e 'Errno 28' "$log"; then
        fail "the disk is full; make room (5 GB) and run make again"
    fi
    fail "$(grep -E '^ERROR' "$log" | tail -n 1 | cut -c 1-160) (all of it in $log; no network? run make again, it resumes)"
}
export PIP_DISABLE_PIP_VERSION_CHECK=1
# The lock is complete, so pip resolves nothing; it checks hashes.
run .venv/bin/python -m pip install --no-deps --require-hashes --progress-bar off -r requirements.lock
run .venv/bin/python -m pip install --no-deps --no-build-isolation --progress-bar off -e .
run .venv/bin/python -m pip check
if [ -f qkdlib/engine/warm.py ]; then
    echo "setup: compiling the fast engine"
    run .venv/bin/python -m qkdlib.engine.warm
fi
# Notebooks are committed without outputs. Git names a filter in .gitattributes, each checkout what it does;
# where there is no checkout, or no git, nothing is committed either.
if [ -e .git ] && command -v git >/dev/null 2>&1; then
    git config filter.nbstripout.clean '.venv/bin/python -m nbstripout --keep-id' 2>/dev/null || :
fi
touch .venv/.complete || fail "could not write to .venv; is the disk full?"
echo "setup: done in $(($(date +%s) - started)) s"
