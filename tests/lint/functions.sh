#!/bin/sh
# Functions have at most 100 lines, brace to brace, but for those listed: a table or one switch. Long ones are named.
# shellcheck source=tests/lib.sh
. tests/lib.sh
cd "$t_top" || exit 1
exceptions=''

find lib bin tests -name '*.c' -exec awk '
    FNR == 1 { open = 0 }
    /^[A-Za-z].*\(/ && !/;$/ && !open { name = $0; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name) }
    /^\{/ { open = FNR }
    /^\}/ && open { if (FNR - open - 1 > 60) print FNR - open - 1, FILENAME, name; open = 0 }
' {} + | sort -rn >"$t_tmp/long"
while read -r n file name; do
    case " $exceptions " in *" $name "*) continue ;; esac
    if [ "$n" -gt 100 ]; then echo "$file: $name has $n lines"; else t_diag "$file: $name has $n lines"; fi
done <"$t_tmp/long" >"$t_tmp/out"
grep '^#' "$t_tmp/out"
t_is "$(grep -v '^#' "$t_tmp/out")" '' 'no function has more than 100 lines'
t_done
