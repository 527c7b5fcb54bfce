#!/bin/sh
# Every header compiles alone, has a guard and says what it is for; omni.h also as C++ and as C99.
# shellcheck source=tests/lib.sh
. tests/lib.sh
cd "$t_top" || exit 1
flags='-D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -Ilib -Ibin -Itests'
check() { # LANGUAGE FLAGS HEADER
    # shellcheck disable=SC2086
    printf '#include "%s"\nextern int omni_lint_unit;\n' "$PWD/$3" | ${CC:-cc} -x $1 $2 $flags -Wall -Wextra -Werror -fsyntax-only - 2>&1
}
for h in $(find lib bin tests -name '*.h' | sort); do
    t_is "$(check c -std=c11 "$h")" '' "$h compiles alone"
done
t_is "$(check c '-std=c99 -pedantic' lib/omni.h)" '' 'omni.h as C99'
if printf 'int main(){}' | ${CC:-cc} -x c++ -fsyntax-only - >/dev/null 2>&1; then
    t_is "$(check c++ -std=c++11 lib/omni.h)" '' 'omni.h as C++'
else
    t_skip 1 'no C++ compiler'
fi
for h in $(find lib bin -name '*.h' | sort); do
    head -n 1 "$h" | grep -q "^/\* ${h##*/} - " && grep -q '^#ifndef OMNI_' "$h" || echo "$h"
done >"$t_tmp/bad"
t_is "$(cat "$t_tmp/bad")" '' "headers start with '/* name.h - what it is for' and have a guard OMNI_..."
t_done
