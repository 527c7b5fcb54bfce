#!/bin/sh
# need.sh [--stop|--warn] GROUP... - prints the Debian packages that are missing for build, fetch, check or lint,
# one a line. With --stop or --warn it says so in a sentence on stderr instead; --stop then exits with 4.
# What counts is that the thing works, not where it came from: a compiler or pip from elsewhere is as good.
set -u

have() { # PACKAGE PROBE
    case $2 in
    cmd:*) command -v "${2#cmd:}" >/dev/null 2>&1 && return ;;
    py:*) python3 -c "import ${2#py:}" >/dev/null 2>&1 && return ;;
    file:*) [ -e "${2#file:}" ] && return ;;
    hdr:*)
        # shellcheck disable=SC2086  # flags are words
        printf '#include <stdio.h>\n#include <%s>\n' "${2#hdr:}" | ${CC:-cc} ${CPPFLAGS:-} -E - >/dev/null 2>&1 && return
        ;;
    esac
    # the header may be there although there is no compiler yet
    dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed
}

group() {
    case $1 in
    build)
        compiler=${CC:-cc}
        echo "gcc cmd:${compiler%% *}"
        echo 'make cmd:make'
        echo 'libc6-dev hdr:stdio.h'
        echo 'libreadline-dev hdr:readline/readline.h'
        [ "${BLAS:-openblas}" = none ] || echo 'libopenblas-dev hdr:cblas.h'
        ;;
    fetch) printf '%s\n' 'python3 cmd:python3' 'python3-pip py:pip' 'ca-certificates file:/etc/ssl/certs/ca-certificates.crt' ;;
    check) printf '%s\n' 'perl cmd:prove' 'diffutils cmd:cmp' 'pkg-config cmd:pkg-config' 'python3 cmd:python3' ;;
    lint) printf '%s\n' 'clang-14 cmd:clang-14' 'clang-format-14 cmd:clang-format-14' 'clang-tidy-14 cmd:clang-tidy-14' \
        'cppcheck cmd:cppcheck' 'shellcheck cmd:shellcheck' 'mandoc cmd:mandoc' 'git cmd:git' ;;
    *)
        echo "need.sh: unknown group '$1'" >&2
        exit 2
        ;;
    esac
}

mode=print
case ${1:-} in
--stop | --warn)
    mode=${1#--}
    shift
    ;;
esac
missing=$(for g in "$@"; do group "$g"; done | while read -r package probe; do
    have "$package" "$probe" || echo "$package"
done | sort -u)
[ -n "$missing" ] || exit 0
case $mode in
print) printf '%s\n' "$missing" ;;
*)
    echo "missing for $*: $(echo "$missing" | tr '\n' ' ')" >&2
    echo "  apt-get install --no-install-recommends $(echo "$missing" | tr '\n' ' ')" >&2
    [ "$mode" = warn ] || exit 4
    ;;
esac
