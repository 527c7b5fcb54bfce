# shellcheck shell=sh
# tests/lib.sh - TAP for tests in POSIX sh. A test is a script that is run from the root of the repository:
#
#     . tests/lib.sh
#     t_run "$OMNI_ENCODE" --role user a.txt    # stdout, stderr and exit status -> out, err, $t_status
#     t_status_is 0 'a file is encoded'
#     t_out_is 'what standard output must be' 'a file is encoded: output'
#     t_done
#
# It runs in a fresh folder with a HOME of its own and standard input from /dev/null; the built programs are first in
# PATH, models are looked for in tests/data. VARIANT or OMNI_BIN choose the build to test.

t_top=$PWD
[ -f "$t_top/lib/omni.h" ] || { echo 'Bail out! run tests from the root of the repository'; exit 1; }
OMNI_BIN=${OMNI_BIN:-$t_top/build/${VARIANT:-release}/bin}
# shellcheck disable=SC2034  # for the tests
OMNI_RUN=$OMNI_BIN/omni-run
OMNI_ENCODE=$OMNI_BIN/omni-encode
# shellcheck disable=SC2034  # for the tests
TINY_MODEL=$t_top/tests/data/tiny-llama.gguf
t_n=0 t_failed=0 t_folders=0

t_tmp=$(mktemp -d "${TMPDIR:-/tmp}/omni-test.XXXXXX") || { echo 'Bail out! mktemp failed'; exit 1; }
trap 'cd / && chmod -R u+rwX "$t_tmp" && rm -rf "$t_tmp"' EXIT
trap 'exit 1' INT TERM HUP
exec </dev/null

unset NO_COLOR OMNI_ISA POSIXLY_CORRECT XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME XDG_CONFIG_HOME
HOME=$t_tmp/home TERM=dumb OMNI_MODEL_PATH=$t_top/tests/data PATH=$OMNI_BIN:$PATH LC_ALL=C.UTF-8
export HOME TERM OMNI_MODEL_PATH PATH LC_ALL
mkdir "$HOME"

# Enters a new empty folder.
t_fresh() {
    t_folders=$((t_folders + 1))
    mkdir "$t_tmp/$t_folders"
    cd "$t_tmp/$t_folders" || exit 1
}
t_fresh

t_result() { # 0|1 NAME
    t_n=$((t_n + 1))
    if [ "$1" -eq 0 ]; then
        printf 'ok %d - %s\n' "$t_n" "$2"
    else
        printf 'not ok %d - %s\n' "$t_n" "$2"
        t_failed=$((t_failed + 1))
    fi
    return "$1"
}

t_diag() {
    printf '%s\n' "$*" | cut -c 1-2000 | sed 's/^/# /'
}

# What the last t_run left, for a test that failed.
t_show() {
    [ -f out ] && t_diag "stdout: $(head -c 1000 out | tr -d '\0')"
    [ -f err ] && t_diag "stderr: $(head -c 1000 err | tr -d '\0')"
    return 1
}

t_ok() { # NAME COMMAND...: the command succeeds
    t_name=$1
    shift
    if "$@"; then t_result 0 "$t_name"; else
        t_result 1 "$t_name"
        t_diag "failed: $*"
        t_show
    fi
}

t_not() { # NAME COMMAND...: the command fails
    t_name=$1
    shift
    if "$@"; then
        t_result 1 "$t_name"
        t_diag "succeeded: $*"
        t_show
    else t_result 0 "$t_name"; fi
}

t_is() { # GOT WANTED NAME
    if [ "$1" = "$2" ]; then t_result 0 "$3"; else
        t_result 1 "$3"
        t_diag "got:      $1"
        t_diag "expected: $2"
        return 1
    fi
}

t_like() { # GOT PATTERN NAME: a shell pattern
    # shellcheck disable=SC2254  # it is a pattern
    case $1 in
    $2) t_result 0 "$3" ;;
    *)
        t_result 1 "$3"
        t_diag "got:          $1"
        t_diag "expected like $2"
        return 1
        ;;
    esac
}

t_run() { # COMMAND...: standard output to the file out, standard error to err, exit status to t_status
    "$@" >out 2>err
    t_status=$?
    return 0
}

t_status_is() { # WANTED NAME
    t_is "$t_status" "$1" "$2" || t_show
}
t_out_is() { # WANTED NAME: trailing newlines aside
    t_is "$(cat out)" "$1" "$2" || t_show
}
t_err_is() { # WANTED NAME
    t_is "$(cat err)" "$1" "$2" || t_show
}
t_err_like() { # PATTERN NAME: one line that matches
    t_like "$(cat err)" "$1" "$2" && t_is "$(wc -l <err | tr -d ' ')" 1 "$2: one line"
}

# Commands that keep the memory of what follows in the same shell to KILOBYTES; nothing where sanitizers, which map
# terabytes, were compiled in.
t_limit_memory() { # KILOBYTES
    if grep -q -e __asan_init -e __tsan_init -e __msan_init "$OMNI_ENCODE"; then echo :; else echo "ulimit -v $1"; fi
}

t_skip() { # N REASON: the next N tests are not run
    t_i=0
    while [ "$t_i" -lt "$1" ]; do
        t_n=$((t_n + 1)) t_i=$((t_i + 1))
        echo "ok $t_n # SKIP $2"
    done
}
t_skip_all() { # REASON
    echo "1..0 # SKIP $1"
    exit 0
}

# How COMMAND died after SIGNAL, sent once standard output or error of it has something (or after 2 s):
# "signal 2" or "exit 3". SIGNAL may be a list, "INT,INT". Output goes to the files out and err.
t_signal() { # SIGNAL COMMAND...
    perl "$t_top/tests/signal.pl" "$@"
}

t_done() {
    echo "1..$t_n"
    [ "$t_failed" -eq 0 ]
    exit
}
