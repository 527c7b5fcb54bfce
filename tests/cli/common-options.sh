#!/bin/sh
# The command line of every program: help, version, usage errors, strict numbers.
# shellcheck source=tests/lib.sh
. tests/lib.sh

for p in "$OMNI_ENCODE" "$OMNI_RUN"; do
    n=$(basename "$p")
    t_run "$p" --help
    t_is "$t_status $(wc -c <err | tr -d ' ')" '0 0' "$n --help: exit 0, on standard output"
    t_ok "$n --help: at most 24 lines" test "$(wc -l <out)" -le 24
    t_is "$(awk 'length > 80' out)" '' "$n --help: at most 80 columns"
    t_ok "$n --help: names the man page" grep -q "man $n" out
    t_is "$(grep -c "^  .*$n" out)" 2 "$n --help: two examples"
    cp out short
    t_run "$p" -h
    t_ok "$n -h is --help" cmp out short
    t_run "$p" --help=all
    t_is "$t_status $(awk 'length > 80' out)" '0 ' "$n --help=all"
    t_is "$("$p" --dump-options | awk -F '\t' '$1 == "option" { print $3 }' | while read -r o; do
        grep -q -- "--$o" out || echo "$o"
    done)" '' "$n --help=all has every option"
    t_run "$p" --help=some
    t_status_is 2 "$n --help=some"

    t_run "$p" --version
    t_is "$t_status $(head -n 1 out)" "0 $n $(sed -n 's/^#define OMNI_VERSION "\(.*\)"/\1/p' "$t_top/lib/omni.h")" \
        "$n --version"
    t_ok "$n --version: says the licence" grep -q -E 'MIT|GPL' out

    usage() { # PATTERN ARGUMENT...
        u_want=$1
        shift
        t_run "$p" "$@"
        t_is "$t_status $(wc -c <out | tr -d ' ')" '2 0' "$n $*: exit 2, nothing on standard output"
        t_err_like "$n: $u_want (try '$n --help')" "$n $*"
    }
    usage "unknown option '--nosuch'" --nosuch
    usage "unknown option '--nosuch'" --nosuch=3
    usage "unknown option '-Z'" -Z
    usage "unknown option '--quie'; did you mean '--quiet'[?]" --quie
    usage "--quiet: takes no value" --quiet=1
    usage "--threads: needs a value" -t
    usage "--threads: needs a value" --threads
    for bad in 0 -1 100000 2147483648 4294967297 9223372036854775808 18446744073709551617 99999999999999999999999 1.5 \
        1e2 0x10 nan '' ' 1' '1 ' 1k --; do
        usage "--threads: expected 1..1024, found '$bad'" -t "$bad"
    done
    for bad in -1 18446744073709551616 nan inf '' ' 1'; do
        usage "--seed: expected 0..18446744073709551615, found '$bad'" --seed="$bad"
    done
    usage "--color: expected auto, always or never, found 'red'" --color red
    usage "--isa: expected *, found 'sse9'" --isa sse9
    usage '--text and --stream contradict each other' --text --stream

    t_run "$p" --json --threads nan
    t_is "$(cat err)" "{\"level\":\"error\",\"program\":\"$n\",\"message\":\"--threads: expected 1..1024, found 'nan' (try '$n --help')\"}" \
        "$n --json: the error is one JSON object"
    t_run "$p" --threads nan --json
    t_like "$(cat err)" '{"level":"error",*}' "$n --json after the error"
    t_run "$p" -m nosuch --nosuch -- --json
    t_like "$(cat err)" "$n: unknown*" "$n: --json after -- is an operand"
done

t_run "$OMNI_ENCODE" -q -v --color=never -s 18446744073709551615 -t 1024 --isa generic
t_status_is 0 'the largest seed and number of threads'
echo text >--odd
t_run "$OMNI_ENCODE" -- --odd
t_is "$t_status $(grep -c '^text' out)" '0 1' 'an operand after --'
echo a >a
t_run "$OMNI_ENCODE" a --role tool a
t_is "$t_status $(grep -c '^text' out) $(sed -n 2p out)" '0 2 role tool' 'options after operands'
t_done
