#!/bin/sh
# install.sh - what `make install` puts into an empty DESTDIR works from there, and `make uninstall` takes all of it away.
set -u
cd "$(dirname "$0")/.." || exit 99
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
n=0
check() { # check NAME COMMAND...: one TAP line
    name=$1
    shift
    n=$((n + 1))
    if "$@" >"$dir/log" 2>&1; then
        echo "ok $n - $name"
    else
        echo "not ok $n - $name"
        sed 's/^/# /' "$dir/log"
    fi
}
prefix=$dir/root/usr
quiet_make() { MAKEFLAGS='' MFLAGS='' make -s "$1" DESTDIR="$dir/root" PREFIX=/usr; }
answers() { "$prefix/bin/omni-run" --raw -n 2 -m tests/data/tiny-llama.gguf hi && echo hi | "$prefix/bin/omni-encode"; }
pages() {
    for page in "$prefix"/share/man/man*/*; do
        mandoc -Tlint -W error "$page" || return 1
    done
}
flags() { PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name omni.pc)") PKG_CONFIG_SYSROOT_DIR=$dir/root pkg-config "$@" omni; }
cat >"$dir/hello.c" <<'C'
#include <omni.h>
#include <stdio.h>
int main(int argc, char **argv)
{
    omni_model *m;
    omni_error err;
    omni_model_info info;
    if (omni_model_open(&m, argv[argc - 1], NULL, &err) != OMNI_OK)
        return fprintf(stderr, "%s\n", err.text), 1;
    omni_model_get_info(m, &info);
    printf("%s %s\n", info.architecture, omni_version());
    omni_model_close(m);
    return 0;
}
C
shared() {
    lib=$(dirname "$(find "$prefix" -name 'libomni.so.0' | head -n 1)")
    # shellcheck disable=SC2046
    ${CC:-cc} -o "$dir/shared" "$dir/hello.c" $(flags --cflags --libs) || return 1
    LD_LIBRARY_PATH=$lib "$dir/shared" tests/data/tiny-llama.gguf
}
static() {
    lib=$(find "$prefix" -name libomni.a)
    # shellcheck disable=SC2046
    ${CC:-cc} -o "$dir/static" "$dir/hello.c" $(flags --cflags) "$lib" $(flags --static --libs-only-l | sed 's/-lomni//') -lm -pthread ||
        return 1
    "$dir/static" tests/data/tiny-llama.gguf
}
empty() { [ -z "$(find "$dir/root" ! -type d)" ] || { find "$dir/root" ! -type d; return 1; }; }

check 'make install' quiet_make install
check 'the installed programs run' answers
if command -v mandoc >/dev/null 2>&1; then check 'the installed pages are pages' pages; fi
if command -v pkg-config >/dev/null 2>&1; then
    check 'a program against the shared library' shared
    check 'a program against the static library' static
fi
check 'the model table and fetch are installed' test -x "$prefix/share/omni/fetch" -a -s "$prefix/share/omni/models.tsv"
check 'make uninstall' quiet_make uninstall
check 'nothing is left' empty
echo "1..$n"
