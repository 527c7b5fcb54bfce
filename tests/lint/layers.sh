#!/bin/sh
# Who may include whom: the module table of lib/README.md. Every module may include itself and omni.h.
# shellcheck source=tests/lib.sh
. tests/lib.sh
cd "$t_top" || exit 1

allowed() { # MODULE: the modules it may include
    case $1 in
    base) ;;
    kern | gguf | media | stream | sample | chat) echo base ;;
    tok) echo base gguf ;;
    nn) echo base kern ;;
    model | codec) echo base kern gguf nn ;;
    guard) echo base kern gguf tok nn model codec ;;
    eval) echo base tok ;;
    api) ls lib ;;
    *) return 1 ;;
    esac
}
for m in lib/*/; do
    m=${m#lib/} m=${m%/}
    ok=$(allowed "$m" | tr '\n' ' ') || {
        t_ok "module '$m' is in the table" false
        continue
    }
    sed -n 's/^#include "\([^"]*\)".*/\1/p' lib/"$m"/*.[ch] 2>/dev/null | sort -u | while read -r inc; do
        case $inc in
        omni.h) continue ;;
        */*) from=${inc%%/*} ;;
        *) from=$m ;;
        esac
        case " $ok $m " in
        *" $from "*) [ -e "lib/$inc" ] || [ -e "lib/$m/$inc" ] || echo "$m: $inc does not exist" ;;
        *) echo "$m includes $inc: $(grep -l "\"$inc\"" lib/"$m"/*.[ch] | tr '\n' ' ')" ;;
        esac
    done >"$t_tmp/bad"
    t_is "$(cat "$t_tmp/bad")" '' "$m includes ${ok:-libc} only"
done

# Programs see omni.h, the shared command-line code and their own files.
for f in bin/*.[ch] bin/cli/*.[ch]; do
    own=${f##*/} own=${own#omni-} own=${own%%[_.]*}
    sed -n 's/^#include "\([^"]*\)".*/\1/p' "$f" | while read -r inc; do
        case $inc in
        omni.h | cli/cli*.h | cli_*.h | cli.h | "$own".h | "$own"_*.h) ;;
        *) echo "$f includes $inc" ;;
        esac
    done
done >"$t_tmp/bad"
t_is "$(cat "$t_tmp/bad")" '' 'programs include omni.h, cli/ and their own headers only'

only() { # HEADER-PATTERN FILE-PATTERN: system header in that one place
    t_is "$(grep -rlE "#include <$1" lib bin | grep -vE "$2")" '' "<$1> is in $2 only"
}
only 'readline/' '^bin/run_repl'
only '(cblas|openblas)' '^lib/kern/kern_blas\.c$'
only '(sndfile|sox|stb_image)' '^lib/media/'
only '(immintrin|x86intrin|arm_neon|cpuid)' '^lib/(kern/kern(_x86|_arm|_cpu)?|base/base_cpu|sample/sample_math)'
t_done
