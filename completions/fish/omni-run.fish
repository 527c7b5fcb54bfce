# Made from the option table of omni-run by completions/generate.sh.
function __omni_models
    set -l data $XDG_DATA_HOME
    test -n "$data"; or set data $HOME/.local/share
    for d in (string split : -- "$OMNI_MODEL_PATH") $data/omni/models /usr/local/share/omni/models /usr/share/omni/models
        for f in $d/*.gguf $d/*.omni
            string replace -r '.*/(.*)[.][^.]*$' '$1' -- $f
        end
    end
end
complete -c omni-run -s p -l prompt -x -d 'the prompt; operands are then files that go with it'
complete -c omni-run -l system -x -d 'system prompt'
complete -c omni-run -l raw -d 'no chat template: continue the text'
complete -c omni-run -l template -x -d 'chat template: a built-in name, or a file with Jinja source'
complete -c omni-run -s n -l max-tokens -x -d 'tokens of the answer; -1: until it ends'
complete -c omni-run -l stop -x -d 'end the answer before TEXT; may be given several times'
complete -c omni-run -l ignore-end -d 'go on when the model ends its answer'
complete -c omni-run -l ctx -x -d 'tokens of context'
complete -c omni-run -l shift -d 'when the context is full, forget its oldest half and go on; the system prompt stays'
complete -c omni-run -l no-shift -d 'end the answer when the context is full (the default)'
complete -c omni-run -l temp -x -d 'temperature; 0: always the most probable token'
complete -c omni-run -l top-k -x -d 'only the K most probable tokens; 0: all'
complete -c omni-run -l top-p -x -d 'only the most probable tokens that together have P; 1: all'
complete -c omni-run -l min-p -x -d 'only tokens with P times the highest probability; 0: all'
complete -c omni-run -l repeat-penalty -x -d 'makes recent tokens less probable; 1: does not'
complete -c omni-run -l repeat-last -x -d 'recent tokens that --repeat-penalty looks at'
complete -c omni-run -l logit-bias -x -d 'add BIAS to the logit of a token; -inf forbids it; may be given several times'
complete -c omni-run -l logprobs -d 'print tokens with log probabilities and the K best alternatives'
complete -c omni-run -l info -d 'the model'\''s card; with -v all its metadata'
complete -c omni-run -l stats -d 'speed and memory, on standard error'
complete -c omni-run -l batch -r -F -d 'answer each line of a JSON lines file; with -o resumable'
complete -c omni-run -l shard -x -d 'of a batch, only every N-th line from line I on'
complete -c omni-run -l activations -x -a 'fast float' -d 'fast: 16-bit activations; float: slower and closest to the reference'
complete -c omni-run -s m -l model -r -F -a '(__omni_models)' -d 'model name or GGUF file'
complete -c omni-run -s o -l output -r -F -d 'write to FILE, which appears when complete'
complete -c omni-run -l text -d 'plain text out, whatever came in'
complete -c omni-run -l stream -d 'an omni-stream out, whatever came in'
complete -c omni-run -l json -d 'JSON lines out, messages as JSON too'
complete -c omni-run -s s -l seed -x -d 'seed of the random numbers'
complete -c omni-run -s t -l threads -x -d 'threads; never changes the output'
complete -c omni-run -l isa -x -a 'auto generic avx2 avx512 neon' -d 'highest instruction set to use'
complete -c omni-run -l color -x -a 'auto always never' -d 'colour: auto, always or never'
complete -c omni-run -s q -l quiet -d 'errors only'
complete -c omni-run -s v -l verbose -d 'say more; -vv still more'
complete -c omni-run -s h -l help -f -a all -d 'this help; --help=all shows every option'
complete -c omni-run -s V -l version -d 'version and licence'
