#!/bin/sh
# Make the virtual environment of a checkout, or repair one that is half-made.
# Usage: make_env.sh VENV [PYTHON]     (run from the top of the checkout)
set -eu

venv=$1
python=${2:-}
stamp=$venv/.rggan_mm_ready

fail() {
    echo "make setup: $*" >&2
    exit 1
}

# Run, not just found: a pyenv shim exists for versions that are not active.
suits() {
    "$1" -c 'import sys, venv, ensurepip
sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' >/dev/null 2>&1
}

choose_python() {
    if [ -n "$python" ]; then
        set -- "$python"
    else
        set -- python3.11 python3.12 python3.13 python3.14 python3
    fi
    for candidate in "$@"; do
        if suits "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python 3.11 to 3.14 with venv and ensurepip (tried: $*);" \
        "install one or say PYTHON=/path/to/python"
}

# The folder is part of it: an editable install points at one checkout.
wanted() {
    { pwd && cat requirements/*.txt setup.py dev/make_env.sh; } | cksum
}

ready() {
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(wanted)" ] && suits "$venv/bin/python"
}

# --clear below empties the folder: only ever one that is an environment.
check_folder() {
    if [ -e "$venv" ] && [ ! -e "$venv/pyvenv.cfg" ] && [ -n "$(ls -A "$venv")" ]; then
        fail "$venv is there and is no virtual environment; remove it or say VENV=folder"
    fi
}

# A stamp means that an installation once ended well: then updating is enough.
new_venv() {
    chosen=$(choose_python)
    check_folder
    rm -f "$stamp"
    echo "make setup: new environment $venv with $chosen"
    "$chosen" -m venv --clear "$venv"
}

install() {
    echo "make setup: installing the tested set into $venv (minutes when it is new)"
    rm -f "$stamp"
    "$venv/bin/python" -m pip install --disable-pip-version-check --quiet \
        -c requirements/constraints.txt -e '.[lite,mmagic-all,tests]'
    wanted >"$stamp"
}

if ! ready; then
    if [ ! -f "$stamp" ] || ! suits "$venv/bin/python"; then
        new_venv
    fi
    install
fi
