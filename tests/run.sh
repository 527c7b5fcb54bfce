#!/bin/sh
# tests/run.sh TEST... - runs tests that print TAP under prove, each with a time limit and no standard input, counts
# their results and ends with "412 passed, 0 failed, 3 skipped". TEST is a program or a shell script.
# VARIANT chooses the build; JOBS how many run at a time (2); LIMIT the seconds of one test (300);
# WRAP goes before programs ("valgrind -q"), SUMMARY=FILE also appends the counts there.
set -u

# One test, called by prove: keeps what it prints, for the count.
if [ "${1:-}" = --one ]; then
    shift
    log=$OMNI_TAP_LOG/$(printf %s "$1" | tr / _)
    case $1 in
    *.sh) set -- sh "$@" ;;
    *)
        # shellcheck disable=SC2086  # words on purpose
        set -- ${WRAP:-} "$@"
        ;;
    esac
    timeout -k 10 "${LIMIT:-300}" "$@" </dev/null >"$log.tap"
    code=$?
    cat "$log.tap"
    [ "$code" -ne 124 ] || echo "# stopped after ${LIMIT:-300} s" >&2
    # a test that died, or stopped early, may not have printed a failure: it counts as one
    [ "$code" -eq 0 ] || grep -q '^not ok' "$log.tap" || echo 'not ok - exit status' >>"$log.tap"
    exit "$code"
fi

[ $# -gt 0 ] || { echo 'run.sh: no tests' >&2 && exit 2; }
command -v prove >/dev/null 2>&1 || { echo 'run.sh: prove is missing (Debian: apt-get install perl)' >&2 && exit 4; }
OMNI_TAP_LOG=$(mktemp -d "${TMPDIR:-/tmp}/omni-tap.XXXXXX") || exit 4
export OMNI_TAP_LOG VARIANT="${VARIANT:-release}"
trap 'rm -rf "$OMNI_TAP_LOG"' EXIT
trap 'exit 1' HUP INT TERM

prove -j "${JOBS:-2}" --timer --exec 'sh tests/run.sh --one' "$@"
code=$?

# "ok 3 - name # SKIP why" is a skip; so is a whole file, "1..0 # SKIP why"; a file without plan or result is a failure
for f in "$OMNI_TAP_LOG"/*.tap; do [ -s "$f" ] || echo 'not ok - printed nothing' >"$f"; done
counts=$(cat "$OMNI_TAP_LOG"/*.tap | awk '
    /^1\.\.0 *# *[Ss][Kk][Ii][Pp]/ { s++; next }
    /^ok/ { if (tolower($0) ~ /# *skip/) s++; else p++ }
    /^not ok/ { f++ }
    END { printf "%d passed, %d failed", p, f; if (s) printf ", %d skipped", s; print "" }')
echo "$counts"
[ -z "${SUMMARY:-}" ] || echo "$counts" >>"$SUMMARY"
# prove also fails on what the count cannot see, such as a plan that does not fit
case $counts in *' 0 failed'*) exit "$code" ;; *) exit 1 ;; esac
