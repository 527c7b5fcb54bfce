#!/bin/sh
# C files are formatted as .clang-format says.
# shellcheck source=tests/lib.sh
. tests/lib.sh
command -v clang-format-14 >/dev/null 2>&1 || t_skip_all 'no clang-format-14'
cd "$t_top" || exit 1
t_is "$(find lib bin tests -name '*.[ch]' -exec clang-format-14 --dry-run {} + 2>&1 | sed -n 's/:[0-9:]* warning.*//p' |
    sort | uniq -c)" '' 'C files are formatted (clang-format-14 -i FILE); places by file'
t_is "$(grep -rnI --include='*.[ch]' --include='*.sh' --include='*.md' --include=Makefile '[[:blank:]]$' \
    Makefile README.md lib bin share tests man 2>/dev/null | head)" '' 'no blanks at the end of a line'
t_done
