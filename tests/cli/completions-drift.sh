#!/bin/sh
# The completions in completions/ are what the option tables give, and bash runs them.
# shellcheck source=tests/lib.sh
. tests/lib.sh

for n in omni-encode omni-run; do
    t_run sh "$t_top/completions/generate.sh" made "$OMNI_BIN/$n"
    t_status_is 0 "$n: generate"
    for f in bash/$n zsh/_$n fish/$n.fish; do
        t_ok "completions/$f is up to date (completions/generate.sh completions $n)" cmp "made/$f" "$t_top/completions/$f"
    done
    if command -v zsh >/dev/null 2>&1; then t_ok "$n: zsh syntax" zsh -n "made/zsh/_$n"; else t_skip 1 'no zsh'; fi
    if command -v fish >/dev/null 2>&1; then t_ok "$n: fish syntax" fish -n "made/fish/$n.fish"; else t_skip 1 'no fish'; fi
done

command -v bash >/dev/null 2>&1 || {
    t_skip 1 'no bash'
    t_done
}
offer() { # PROGRAM WORD...: what bash offers for the last word
    bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
        f=${1//-/_}; "_$f"; printf "%s\n" "${COMPREPLY[@]}"' bash "made/bash/$1" "$@" | sort | tr '\n' ' '
}
mkdir -p files models
: >files/one.txt
: >models/mine.gguf
OMNI_MODEL_PATH=$PWD/models
t_is "$(offer omni-encode omni-encode --ro)" '--role ' 'an option'
t_is "$(offer omni-encode omni-encode --color '')" 'always auto never ' 'a choice'
t_is "$(offer omni-encode omni-encode --color = al)" 'always ' 'a choice after ='
t_is "$(offer omni-encode omni-encode --color =)" 'always auto never ' 'all choices after ='
t_is "$(offer omni-encode omni-encode -o files/)" 'files/one.txt ' 'the file of an option'
t_is "$(offer omni-encode omni-encode files/o)" 'files/one.txt ' 'an operand'
t_is "$(offer omni-encode omni-encode -m mi)" 'mine ' 'a model by name'
t_is "$(offer omni-encode omni-encode -m mod)" 'models ' 'a model by file'
t_is "$(offer omni-encode omni-encode --seed '')" ' ' 'nothing for a number'
if command -v fish >/dev/null 2>&1; then
    t_is "$(fish -c 'source made/fish/omni-encode.fish; complete -C"omni-encode --color "' | cut -f 1 | tr '\n' ' ')" \
        'always auto never ' 'fish: a choice'
    t_is "$(fish -c 'source made/fish/omni-encode.fish; complete -C"omni-encode -m mi"' | cut -f 1)" mine 'fish: a model'
else
    t_skip 2 'no fish'
fi
t_done
