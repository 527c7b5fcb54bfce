#!/bin/sh
# start.sh - `make start`: from a bare Debian to an answer. Each step looks at the real state of the machine and does
# only what is missing, so that a second run has nothing left but the question.
set -eu
cd "$(dirname "$0")/.."
say() { printf '== %s\n' "$*"; }

missing=$(share/need.sh build fetch | tr '\n' ' ')
if [ -n "$missing" ]; then
    say "packages needed: $missing"
    root=''
    if [ "$(id -u)" != 0 ]; then
        # without a terminal sudo can only be asked whether it works without a password
        if command -v sudo >/dev/null 2>&1 && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then root=sudo; else root=none; fi
    fi
    if [ "$root" = none ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "start: installing them needs root and apt-get. Run this, or the like on your system, then make start again:" >&2
        echo "  apt-get update && apt-get install -y --no-install-recommends $missing" >&2
        exit 4
    fi
    log=$(mktemp)
    # shellcheck disable=SC2086  # words on purpose
    if ! { $root apt-get update && $root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
        tail -n 5 "$log" >&2
        rm -f "$log"
        echo "start: the packages could not be installed; this was: apt-get install $missing" >&2
        exit 4
    fi
    rm -f "$log"
fi

[ -x bin/omni-run ] || say 'building (a minute or two)'
make -s -j"$(nproc 2>/dev/null || echo 1)" all

# The stamp holds what the checked file looked like, so that its hash is not taken at every start.
stamp=build/model.stamp
look() { stat -c '%n %s %Y' "$1" 2>/dev/null || true; }
model=$(cut -d' ' -f1 "$stamp" 2>/dev/null || true)
case ${XDG_DATA_HOME:-${HOME:-}/.local/share} in
"${model%/omni/models/*}") ;;
*) model='' ;;
esac
if [ -z "$model" ] || [ "$(look "$model")" != "$(cat "$stamp")" ]; then
    say 'default text model'
    model=$(share/omni/fetch)
    look "$model" >"$stamp"
fi

question='Why is the sky blue? Answer in one sentence.'
say "./bin/omni-run --stats \"$question\""
exec ./bin/omni-run --stats -n 64 --temp 0 "$question"
