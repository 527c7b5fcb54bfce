#!/bin/sh
# Functions that are never used, and what the library leaves to programs: it does not print, exit, read the
# environment or touch signals, locale and floating-point state. Comments are taken out before looking.
# shellcheck source=tests/lib.sh
. tests/lib.sh
cd "$t_top" || exit 1

calls() { # NAMES-PATTERN FILE...: "file: name(" for each call
    pattern=$1
    shift
    for f in "$@"; do
        ${CC:-cc} -fpreprocessed -dD -E -P "$f" 2>/dev/null | sed 's/"\([^"\\]\|\\.\)*"/""/g' |
            grep -oE "(^|[^A-Za-z0-9_.>])($pattern) ?\\(" | grep -oE '[a-z_0-9]+' | sort -u | sed "s|^|$f: |"
    done
}
lib=$(find lib -name '*.[ch]') bin=$(find bin -name '*.[ch]')
# shellcheck disable=SC2086  # lists of files
{
    t_is "$(calls 'strcpy|strcat|strncpy|sprintf|vsprintf|strtok|atoi|atol|atoll|atof|gets|scanf|alloca|tmpnam|mktemp|rand|srand' \
        $lib $bin)" '' 'banned functions'
    t_is "$(calls 'printf|vprintf|fprintf|vfprintf|puts|fputs|putchar|perror|exit|_exit|abort|getenv|secure_getenv|setenv|signal|sigaction|raise|kill|system|popen|fork|setlocale|fesetround' \
        $lib)" '' 'the library does not print, exit, read the environment or touch signals'
    # shellcheck disable=SC2046
    t_is "$(calls 'malloc|calloc|realloc|strdup|strndup|asprintf|aligned_alloc|posix_memalign' \
        $(echo "$lib" | grep -v '^lib/base/'))" '' 'the library takes memory through base (om_alloc)'
}
t_is "$(grep -rnwE 'TO[D]O|FIX[M]E|HAC[K]' --include='*.[ch]' --include='*.sh' lib bin share tests | head)" '' 'nothing left to do'
t_is "$(grep -nE '(ffast-math|march=native)' Makefile)" '' 'no -ffast-math, no -march=native'
t_done
