#!/bin/sh
# clang-tidy with the checks of .clang-tidy. A file that did not change since it passed is not looked at again: the
# stamps are in build/tidy/, newer than the file, all headers and the settings.
# shellcheck source=tests/lib.sh
. tests/lib.sh
command -v clang-tidy-14 >/dev/null 2>&1 || t_skip_all 'no clang-tidy-14'
cd "$t_top" || exit 1
mkdir -p build/tidy
newest=$(find lib bin .clang-tidy tests/lint/tidy.sh \( -name '*.h' -o -name .clang-tidy -o -name tidy.sh \) -printf '%T@ %p\n' |
    sort -n | tail -n 1 | cut -d' ' -f2-)
find lib bin -name '*.c' ! -name 'kern_arm_*' ! -name '*_data.c' | sort >"$t_tmp/files"
while read -r f; do
    stamp=build/tidy/$(printf %s "$f" | tr / _)
    [ -n "$(find "$stamp" -newer "$f" -newer "$newest" 2>/dev/null)" ] || echo "$f"
done <"$t_tmp/files" >"$t_tmp/todo"
# shellcheck disable=SC2016  # for the inner shell
xargs -r -P 2 -n 1 sh -c '
    isa=""
    case $1 in
    *_avx2.c) isa="-mavx2 -mfma -mf16c" ;;
    *_avx512*.c) isa="-mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni" ;;
    esac
    stamp=build/tidy/$(printf %s "$1" | tr / _)
    touch "$stamp.new"
    if clang-tidy-14 --quiet "$1" -- -std=c11 -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -DOMNI_HAVE_OPENBLAS \
        -Ilib -Ibin $isa >"$stamp.log" 2>&1; then mv "$stamp.new" "$stamp"; else rm -f "$stamp.new" "$stamp"; fi
' sh <"$t_tmp/todo"
while read -r f; do
    stamp=build/tidy/$(printf %s "$f" | tr / _)
    t_ok "$f" test -e "$stamp" || t_diag "$(grep -e ' error: ' -e ' warning: ' "$stamp.log")"
done <"$t_tmp/files"
t_done
