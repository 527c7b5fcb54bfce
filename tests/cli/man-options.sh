#!/bin/sh
# Every option of a program is in its man page with its short name and argument, and the reverse; pages lint clean.
# shellcheck source=tests/lib.sh
. tests/lib.sh

for n in omni-encode omni-run; do
    page=$t_top/man/$n.1
    "$OMNI_BIN/$n" --dump-options | awk -F '\t' '$1 == "option" {
        print ($2 == "-" ? "" : "-" $2 " ") "--" $3 ($4 == "-" ? "" : " " tolower($4)) }' | sort >table
    # ".It Fl r , Fl -role Ns = Ns Ar role" -> "-r --role role"
    awk '/^\.It Fl / {
        line = ""
        for (i = 2; i <= NF; i++) {
            if ($i == "Fl") line = line (line == "" ? "" : " ") "-" $(i + 1)
            if ($i == "Ar") line = line " " $(i + 1)
        }
        print line
    }' "$page" | sort >in-page
    t_is "$(diff table in-page | grep '^[<>]')" '' "man/$n.1 has the options of the table (<) and no others (>)"
    # choices and defaults
    "$OMNI_BIN/$n" --dump-options | awk -F '\t' '$1 == "option" && $6 != "-" { gsub(/\|/, "\n", $6); print $6 }' |
        sort -u | while read -r w; do
        grep -q -E "(Ql|Cm|Ar|Li|Sq) $w( |\$)" "$page" || echo "$w"
    done >missing
    t_is "$(cat missing)" '' "man/$n.1 names every choice"
done

for page in "$t_top"/man/*.[1-9]; do
    n=$(basename "$page")
    for s in NAME ENVIRONMENT 'EXIT STATUS' EXAMPLES 'SEE ALSO'; do
        t_ok "$n has $s" grep -q "^\.Sh $s\$" "$page"
    done
    if command -v mandoc >/dev/null 2>&1; then
        # our own pages are not installed where it looks for references
        t_is "$(mandoc -Tlint "$page" 2>/dev/null | grep -v 'referenced manual not found')" '' "$n: mandoc -Tlint"
    else
        t_skip 1 'no mandoc'
    fi
    # ".Xr omni-run 1": pages of ours that are referred to exist
    t_is "$(sed -n 's/^\.It Xr /.Xr /; s/^\.Xr \(omni[^ ]*\) \([0-9]\).*/\1.\2/p' "$page" | sort -u | while read -r ref; do
        [ -f "$t_top/man/$ref" ] || echo "$ref"
    done)" '' "$n: the pages it refers to exist"
done

# omni.3 names every public function and no other.
sed -n 's/^OMNI_API.*[ *]\(omni_[a-z_0-9]*\)(.*/\1/p' "$t_top/lib/omni.h" | sort -u >header
t_ok 'functions were found in the header' test "$(wc -l <header)" -gt 40
grep -o 'Fn omni_[a-z_0-9]*' "$t_top/man/omni.3" | sed 's/Fn //' | sort -u >in-page
t_is "$(diff header in-page | grep '^[<>]')" '' 'omni.3 has the functions of omni.h (<) and no others (>)'
t_done
