#!/bin/sh
# shellcheck disable=SC2016  # awk programs in quotes
# completions/generate.sh DIR PROGRAM... - writes DIR/bash/NAME, DIR/zsh/_NAME and DIR/fish/NAME.fish for each program
# from its own option table (PROGRAM --dump-options). The files in this folder are its output; tests compare them.

set -eu

dir=$1
shift
mkdir -p "$dir/bash" "$dir/zsh" "$dir/fish"

# Fields of an option line: 2 short, 3 long, 4 arg, 5 kind, 6 choices, 7 default, 8 main, 9 section, 10 help; "-" = none.
common='
BEGIN { FS = "\t" }
$1 == "program" { name = $2; fn = $2; gsub(/-/, "_", fn) }
function words(s) { gsub(/\|/, " ", s); return s }
function valued() { return $5 != "flag" && $5 != "help" && $5 != "optional" } # a value that completes as the next word
function squote(s) { gsub(/\047/, "\047\\\047\047", s); return "\047" s "\047" }
'

# Names of the models on the search path of omni(7), for bash and zsh.
models='
BEGIN { models = \
"    local IFS=: d f\n" \
"    for d in ${OMNI_MODEL_PATH:-} \"${XDG_DATA_HOME:-${HOME:-}/.local/share}/omni/models\" \\\n" \
"        /usr/local/share/omni/models /usr/share/omni/models; do\n" \
"        for f in \"$d\"/*.gguf \"$d\"/*.omni; do\n" \
"            f=${f##*/}\n" \
"            [ \"${f%.*}\" = \"*\" ] || printf \"%s\\n\" \"${f%.*}\"\n" \
"        done\n" \
"    done\n" }
'

bash_awk='
$1 == "option" {
    all = all (all ? " " : "") "--" $3 ($5 == "help" ? " --help=all" : "")
    if (!valued()) next
    pattern = ($2 == "-" ? "" : "-" $2 " | ") "--" $3
    if ($5 == "choice")
        cases = cases "    " pattern ") words=\"" words($6) "\" ;;\n"
    else if ($4 == "MODEL")
        cases = cases "    " pattern ") words=$(_omni_models) files=1 ;;\n"
    else if ($4 == "FILE" || $4 == "DIR")
        cases = cases "    " pattern ") files=1 ;;\n"
    else
        cases = cases "    " pattern ") return ;;\n"
}
END {
    printf "# shellcheck shell=bash\n# Made from the option table of %s by completions/generate.sh.\n", name
    printf "_omni_models() {\n%s}\n", models
    printf "_%s() {\n", fn
    print "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words=\"\" files=0"
    print "    # --color=al arrives as the three words --color = al"
    print "    if [ \"$cur\" = = ]; then"
    print "        cur=\"\""
    print "    elif [ \"$prev\" = = ]; then"
    print "        prev=${COMP_WORDS[COMP_CWORD - 2]}"
    print "    fi"
    print "    COMPREPLY=()"
    printf "    case $prev in\n%s", cases
    printf "    *)\n        case $cur in\n        -*) words=\"%s\" ;;\n        *) files=1 ;;\n        esac\n        ;;\n    esac\n", all
    print "    [ -z \"$words\" ] || mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")"
    print "    [ $files = 0 ] || mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- \"$cur\")"
    printf "}\ncomplete -o filenames -F _%s %s\n", fn, name
}'

zsh_awk='
function desc(s) { gsub(/\[/, "\\[", s); gsub(/\]/, "\\]", s); gsub(/:/, "\\:", s); return s }
$1 == "option" {
    if ($5 == "help") action = "::topic:(all)"
    else if ($5 == "optional") action = "::" $4 ":"
    else if (!valued()) action = ""
    else if ($5 == "choice") action = ":" $4 ":(" words($6) ")"
    else if ($4 == "MODEL") action = ":model:_omni_model"
    else if ($4 == "FILE") action = ":file:_files"
    else if ($4 == "DIR") action = ":folder:_files -/"
    else action = ":" $4 ":"
    text = squote("[" desc($10) "]" action)
    rep = ($5 == "list" || $3 == "verbose") ? "\\*" : ""
    long = "--" $3 (valued() ? "=" : $5 == "help" || $5 == "optional" ? "=-" : "")
    if ($2 == "-") spec = (rep ? "\047*\047" : "") long text
    else if (rep) spec = "\047*\047{-" $2 (valued() ? "+" : "") "," long "}" text
    else if ($5 == "help") spec = "\047(- *)\047" "-" $2 squote("[" desc($10) "]") " \\\n        \047(- *)\047" long text
    else spec = "\047(-" $2 " --" $3 ")\047{-" $2 (valued() ? "+" : "") "," long "}" text
    specs = specs "        " spec " \\\n"
}
END {
    printf "#compdef %s\n# Made from the option table of %s by completions/generate.sh.\n", name, name
    printf "_omni_model_names() {\n    setopt localoptions shwordsplit nonomatch\n%s}\n", models
    print "_omni_model() {\n    local -a names\n    names=(${(f)\"$(_omni_model_names)\"})"
    print "    _alternative \"models:model:(${names})\" \"files:file:_files\"\n}"
    printf "_arguments -s -S \\\n%s        \047*:file:_files\047\n", specs
}'

fish_awk='
$1 == "program" {
    printf "# Made from the option table of %s by completions/generate.sh.\n", name
    print "function __omni_models"
    print "    set -l data $XDG_DATA_HOME"
    print "    test -n \"$data\"; or set data $HOME/.local/share"
    print "    for d in (string split : -- \"$OMNI_MODEL_PATH\") $data/omni/models /usr/local/share/omni/models /usr/share/omni/models"
    print "        for f in $d/*.gguf $d/*.omni"
    print "            string replace -r \047.*/(.*)[.][^.]*$\047 \047$1\047 -- $f"
    print "        end"
    print "    end"
    print "end"
}
$1 == "option" {
    line = "complete -c " name ($2 == "-" ? "" : " -s " $2) " -l " $3
    if ($5 == "help") line = line " -f -a all"
    else if ($5 == "choice") line = line " -x -a " squote(words($6))
    else if ($4 == "MODEL") line = line " -r -F -a " squote("(__omni_models)")
    else if ($4 == "FILE" || $4 == "DIR") line = line " -r -F"
    else if (valued()) line = line " -x"
    print line " -d " squote($10)
}'

for p in "$@"; do
    name=$(basename "$p")
    dump=$("$p" --dump-options)
    printf '%s\n' "$dump" | awk "$models$common$bash_awk" >"$dir/bash/$name"
    printf '%s\n' "$dump" | awk "$models$common$zsh_awk" >"$dir/zsh/_$name"
    printf '%s\n' "$dump" | awk "$common$fish_awk" >"$dir/fish/$name.fish"
done
