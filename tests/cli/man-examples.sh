#!/bin/sh
# The lines "$ command" under EXAMPLES in the man pages work as they stand, on the tiny model: each exits with 0, and
# where the page shows output, that is the output. "> " continues a command.
# shellcheck source=tests/lib.sh
. tests/lib.sh
[ -f "$TINY_MODEL" ] || t_skip_all 'no tests/data/tiny-llama.gguf'

# Numbered files N.cmd and N.want, one pair an example.
extract() { # PAGE
    awk '
    function unroff(s) { gsub(/\\&/, "", s); gsub(/\\e/, "\\", s); gsub(/\\-/, "-", s); gsub(/\\\(aq/, "\047", s)
        gsub(/\\\(dq/, "\"", s); return s }
    /^\.Sh / { on = /^\.Sh EXAMPLES/ }
    /^\.Bd / { literal = on }
    /^\.Ed/ { literal = 0 }
    !literal || /^\./ { next }
    { $0 = unroff($0) }
    /^\$ / { n++; name = sprintf("%03d", n); print substr($0, 3) > (name ".cmd"); want = 0; next }
    /^>/ && n && !want { print substr($0, 3) > (name ".cmd"); next }
    n { want = 1; print > (name ".want") }
    ' "$1"
}

# The programs find the tiny model under the default name; pkg-config finds the library that was built.
mkdir "$t_tmp/models" "$t_tmp/shim"
cp "$TINY_MODEL" "$t_tmp/models/SmolLM2-135M-Instruct.Q4_1.gguf"
OMNI_MODEL_PATH=$t_tmp/models
sanitize=$(grep -q __asan_init "$OMNI_ENCODE" && echo '-fsanitize=address,undefined')
grep -q __tsan_init "$OMNI_ENCODE" && sanitize=-fsanitize=thread
blas=$(ldd "$OMNI_ENCODE" 2>/dev/null | grep -q openblas && echo -lopenblas)
cat >"$t_tmp/shim/pkg-config" <<S
#!/bin/sh
echo "-I$t_top/lib $OMNI_BIN/../libomni.a -pthread $sanitize -lm $blas"
S
chmod +x "$t_tmp/shim/pkg-config"
PATH=$t_tmp/shim:$PATH

total=0
for page in "$t_top"/man/*.[1-9]; do
    name=$(basename "$page")
    t_fresh
    extract "$page"
    mkdir work
    cp "$TINY_MODEL" work/SmolLM2-135M-Instruct.Q4_1.gguf
    for cmd in [0-9]*.cmd; do
        [ -f "$cmd" ] || continue
        total=$((total + 1))
        want=${cmd%.cmd}.want what="$name: $(head -n 1 "$cmd" | cut -c 1-100)"
        (cd work && sh "../$cmd") >out 2>err
        t_status=$?
        t_status_is 0 "$what"
        [ ! -f "$want" ] || t_is "$(cat out)" "$(cat "$want")" "$what: output" || t_show
    done
done
t_ok 'there were examples' test "$total" -ge 10
t_done
