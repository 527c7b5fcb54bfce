# Made from the option table of omni-encode by completions/generate.sh.
function __omni_models
    set -l data $XDG_DATA_HOME
    test -n "$data"; or set data $HOME/.local/share
    for d in (string split : -- "$OMNI_MODEL_PATH") $data/omni/models /usr/local/share/omni/models /usr/share/omni/models
        for f in $d/*.gguf $d/*.omni
            string replace -r '.*/(.*)[.][^.]*$' '$1' -- $f
        end
    end
end
complete -c omni-encode -s r -l role -x -d 'who says the text'
complete -c omni-encode -l system -x -d 'system text, put before the rest'
complete -c omni-encode -l ids -d 'token ids instead, one line for each line'
complete -c omni-encode -l special -d 'with --ids: recognise control tokens'
complete -c omni-encode -s m -l model -r -F -a '(__omni_models)' -d 'model name or GGUF file'
complete -c omni-encode -s o -l output -r -F -d 'write to FILE, which appears when complete'
complete -c omni-encode -l text -d 'read input as text, whatever it looks like'
complete -c omni-encode -l stream -d 'input must be streams'
complete -c omni-encode -l json -d 'JSON lines out, messages as JSON too'
complete -c omni-encode -s s -l seed -x -d 'seed of the random numbers'
complete -c omni-encode -s t -l threads -x -d 'threads; never changes the output'
complete -c omni-encode -l isa -x -a 'auto generic avx2 avx512 neon' -d 'highest instruction set to use'
complete -c omni-encode -l color -x -a 'auto always never' -d 'colour: auto, always or never'
complete -c omni-encode -s q -l quiet -d 'errors only'
complete -c omni-encode -s v -l verbose -d 'say more; -vv still more'
complete -c omni-encode -s h -l help -f -a all -d 'this help; --help=all shows every option'
complete -c omni-encode -s V -l version -d 'version and licence'
