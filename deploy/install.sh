#!/usr/bin/env bash
# install.sh PYTHON LOCK: install a lock file, every hash checked, and tapeflow itself in place.
set -euo pipefail
python=$1 lock=$2 start=$SECONDS
pip() { "$python" -m pip --disable-pip-version-check "$@"; }
echo "installing $(grep -c == "$lock") packages from $lock"
pip install --quiet --require-hashes -r "$lock" || {
    echo "pip could not install $lock: is a package index reachable (pip config list), and has this platform wheels?" >&2
    exit 1
}
pip install --quiet --no-deps --no-build-isolation --editable .
echo "installed in $((SECONDS - start)) s"
