#!/bin/sh
# The shared library exports what tests/golden/abi.sym lists, and that is what omni.h declares. A name that goes away
# or changes its meaning needs a new SONAME; a new one is added to the list:
#     nm -D --defined-only build/release/libomni.so.0 | awk '$2 != "A" { print $3 }' | sort
# shellcheck source=tests/lib.sh
. tests/lib.sh
lib=$t_top/build/${VARIANT:-release}/libomni.so.0 golden=$t_top/tests/golden/abi.sym
[ -e "$lib" ] || t_skip_all "no $lib"
nm -D --defined-only "$lib" | awk '$2 != "A" { print $3 }' | LC_ALL=C sort >exported
t_is "$(diff "$golden" exported | grep '^[<>]')" '' 'exports: abi.sym (<) and the library (>)'
grep -v '^#' "$t_top/lib/omni.h" | tr '\n' ' ' | grep -oE 'OMNI_API [^;]*;' | sed 's/(.*//; s/.*[ *]//' | LC_ALL=C sort -u >declared
t_is "$(diff "$golden" declared | grep '^[<>]')" '' 'declarations: abi.sym (<) and omni.h (>)'
if command -v readelf >/dev/null 2>&1; then
    t_ok 'SONAME is libomni.so.0' sh -c "readelf -d '$lib' | grep -q 'SONAME.*\[libomni.so.0\]'"
    t_not 'the library does not need readline' sh -c "readelf -d '$lib' | grep -q 'NEEDED.*readline'"
fi
t_done
