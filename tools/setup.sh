#!/usr/bin/env bash
# Makes .venv from requirements.lock. Called by `make setup`; safe to call again at any time.
set -euo pipefail
cd "$(dirname "$0")/.."

usable() { "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# The system's own Python first: it is built with profile-guided optimisation, which one compiled by pyenv is not
# unless asked, and then runs the same code up to twice as slowly.
find_python() {
    local candidate
    for candidate in "${PYTHON:-}" /usr/bin/python3 python3 python3.11 python3.12 python3.13; do
        if [ -n "$candidate" ] && command -v "$candidate" >/dev/null && usable "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "Tidegate needs Python 3.11 or newer with venv, and found: $(python3 --version 2>&1 || echo none)." >&2
    echo "Install one (on Debian 12: apt-get install python3 python3-venv), or name it: make setup PYTHON=/path/to/python3.11" >&2
    exit 1
}

if ! { [ -x .venv/bin/python ] && usable .venv/bin/python; }; then
    python=$(find_python)
    rm -rf .venv
    if ! "$python" -m venv .venv; then
        rm -rf .venv
        echo "$python cannot make a virtual environment (on Debian 12: apt-get install python3-venv)." >&2
        exit 1
    fi
fi

pinned=$(sed -n 's/^uv==\([^ ]*\).*/\1/p' tools/bootstrap.lock)
if ! .venv/bin/uv --version 2>/dev/null | grep -qF "uv $pinned"; then
    .venv/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r tools/bootstrap.lock
fi
export UV_PYTHON=.venv/bin/python
# Compiled once here: a server is several processes, and each would compile all it imports where the machine forbids
# Python to keep what it has compiled.
.venv/bin/uv pip sync --quiet --require-hashes --compile-bytecode requirements.lock
.venv/bin/uv pip install --quiet --no-deps --no-build-isolation --editable .
.venv/bin/python -m compileall -q src
touch .venv/.setup-done
