#!/bin/sh
# Scripts: shellcheck, and the shell that /bin/sh is on Debian reads them.
# shellcheck source=tests/lib.sh
. tests/lib.sh
cd "$t_top" || exit 1
{
    find share tests completions -name '*.sh'
    echo share/omni/fetch
    [ ! -e .ci/run ] || echo .ci/run
} | sort | while read -r f; do
    if head -n 1 "$f" | grep -q bash; then bash -n "$f"; else "$(command -v dash || echo sh)" -n "$f"; fi || echo "$f: syntax"
done >"$t_tmp/syntax" 2>&1
t_is "$(cat "$t_tmp/syntax")" '' 'scripts: syntax'
command -v shellcheck >/dev/null 2>&1 || {
    t_skip 1 'no shellcheck'
    t_done
}
for f in $(find share tests completions -name '*.sh' | sort) share/omni/fetch .ci/run; do
    t_is "$(shellcheck -x -P "$t_top" "$f" 2>&1)" '' "shellcheck $f"
done
t_done
