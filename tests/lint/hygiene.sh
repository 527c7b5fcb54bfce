#!/bin/sh
# What does not belong into the tree: long dashes, addresses of package registries, paths of somebody's machine,
# large or binary files outside tests/data and tests/golden.
# shellcheck source=tests/lib.sh
. tests/lib.sh
cd "$t_top" || exit 1
git ls-files >"$t_tmp/files" 2>/dev/null
[ -s "$t_tmp/files" ] || t_skip_all 'not a git checkout'
# data may hold any text; patterns are written so that they do not find themselves
grep -vE '^tests/(data|golden|fuzz/corpus)/' "$t_tmp/files" >"$t_tmp/text"
find_text() { xargs grep -nIE "$1" <"$t_tmp/text" 2>/dev/null | cut -c 1-150; }
t_is "$(find_text "$(printf '\342\200\224')")" '' 'no long dash'
t_is "$(find_text '(pypi[.]org|pythonhosted[.]|registry[.]npm|deb[.]debian|huggingface[.]co/)')" '' 'no registry hosts'
t_is "$(find_text '(^|[^A-Za-z0-9_.$~}])/(work|root|opt/pypi|home/[a-z])/')" '' 'no paths of a machine'
t_is "$(find_text '^(<{7}|>{7}|={7})( |$)')" '' 'no merge marks'
t_is "$(xargs ls -ln <"$t_tmp/text" 2>/dev/null | awk '$5 > 300000 { print $5, $9 }' | grep -v unicode_data)" '' 'no large file'
t_is "$(find tests/data tests/golden -type f -size +500k 2>/dev/null)" '' 'test data: files of at most 500 kB'
t_done
