#!/bin/sh
# The environment: colour, locale, HOME, the model search.
# shellcheck source=tests/lib.sh
. tests/lib.sh
echo hello >a.txt
p=$OMNI_ENCODE
esc=$(printf '\033')

# Colour: warnings are coloured on a terminal only, or when told to.
printf 'omni 1 from=x\nend ok\n' >s.omni
warn() { # VARIABLE=VALUE... -- OPTION...: standard error of a program that warns
    env "$@" "$p" --system x s.omni 2>&1 >/dev/null
}
warn_opt() {
    w_opt=$1
    shift
    env "$@" "$p" "$w_opt" --system x s.omni 2>&1 >/dev/null
}
t_like "$(warn TERM=xterm)" 'omni-encode: warning: *' 'no terminal: no colour'
t_like "$(warn_opt --color=always TERM=xterm)" "*$esc\[*warning*" '--color=always: colour'
t_like "$(warn_opt --color=always NO_COLOR=1)" "*$esc\[*warning*" '--color=always wins over NO_COLOR'
if command -v script >/dev/null 2>&1; then
    on_tty() { # VARIABLE=VALUE...: the same on a terminal
        env "$@" script -qec "'$p' --system x s.omni 2>&1 >/dev/null" /dev/null </dev/null | tr -d '\r'
    }
    t_like "$(on_tty TERM=xterm)" "*$esc\[*warning*" 'a terminal: colour'
    t_like "$(on_tty TERM=xterm NO_COLOR=)" "*$esc\[*warning*" 'NO_COLOR empty: colour'
    t_like "$(on_tty TERM=xterm NO_COLOR=1)" 'omni-encode: warning: *' 'NO_COLOR: no colour'
    t_like "$(on_tty TERM=dumb)" 'omni-encode: warning: *' 'a dumb terminal: no colour'
    t_like "$(on_tty -u TERM)" 'omni-encode: warning: *' 'TERM not set: no colour'
    t_like "$(script -qec "printf 'hi\n\004' | '$p'" /dev/null </dev/null)" 'omni 1 *' 'output to a terminal'
    t_like "$(printf '\004' | script -qec "'$p' 2>&1" /dev/null)" '*omni-encode: reading from terminal, end with Ctrl-D*' \
        'standard input is a terminal: it says so'
else
    t_skip 7 'no script(1)'
fi

# Locale and decimal commas change nothing.
"$p" a.txt >plain
for l in C POSIX de_DE.UTF-8 tr_TR.UTF-8 nosuch; do
    t_run env LC_ALL=$l "$p" a.txt
    t_ok "LC_ALL=$l" cmp out plain
done
t_run env -i "$p" a.txt
t_ok 'an empty environment' cmp out plain
t_run env -u HOME "$p" a.txt
t_ok 'no HOME' cmp out plain

# The model search names every place.
t_run env -u HOME -u OMNI_MODEL_PATH "$p" -m nosuch --ids a.txt
t_status_is 3 'no model, no HOME: exit 3'
t_is "$(head -n 1 err)" "omni-encode: model 'nosuch' not found" 'no model: message'
t_ok 'no model: /usr/share was tried' grep -q 'tried /usr/share/omni/models/{nosuch,nosuch.gguf,nosuch.omni}' err
t_not 'no HOME: no path made of it' grep -q '\.local' err
t_run env HOME=/h OMNI_MODEL_PATH=/one::/two:/one "$p" -m nosuch --ids a.txt
t_is "$(sed -n 's/.*tried \(.*\)\/{.*/\1/p' err | head -n 5 | tr '\n' ' ')" \
    '/one /two /h/.local/share/omni/models /usr/local/share/omni/models /usr/share/omni/models ' \
    'OMNI_MODEL_PATH, then the XDG folder, then the system; empty parts and doubles dropped'
t_run env HOME=/h XDG_DATA_HOME=/x OMNI_MODEL_PATH= "$p" -m nosuch.gguf --ids a.txt
t_is "$(sed -n 's/.*tried //p' err | head -n 1)" /x/omni/models/nosuch.gguf 'XDG_DATA_HOME; a name with .gguf is one file'
t_run env HOME=/h XDG_DATA_HOME=relative "$p" -m nosuch --ids a.txt
t_ok 'a relative XDG_DATA_HOME is ignored' grep -q 'tried /h/.local' err
t_run env -u OMNI_MODEL_PATH "$p" --ids a.txt
t_like "$(tail -n 1 err)" '*get it with: *share/omni/fetch smollm2-135m-instruct' 'the default model: how to get it'
t_run "$p" -m ./nosuch.gguf --ids a.txt
t_is "$t_status $(wc -l <err | tr -d ' ')" '3 1' 'a missing file: one line'
t_like "$(cat err)" '*nosuch.gguf*No such file*' 'a missing file: message'
t_run "$p" -m . --ids a.txt
t_status_is 3 'a folder is no model'
: >empty.gguf
t_run "$p" -m empty.gguf --ids a.txt
t_is "$t_status $(wc -l <err | tr -d ' ')" '3 1' 'an empty file is no model'
t_run env OMNI_ISA=sse9 "$p" -m ./empty.gguf --ids a.txt
t_is "$t_status" 2 'OMNI_ISA must be a level'
long=$(head -c 5000 /dev/zero | tr '\0' n)
t_run "$p" -m "$long" --ids a.txt
t_status_is 3 'a very long name'

if [ -f "$TINY_MODEL" ]; then
    mkdir -p models x/omni/models
    cp "$TINY_MODEL" models/mine.gguf
    t_run env OMNI_MODEL_PATH=/nosuch:"$PWD/models" "$p" -m mine --ids a.txt
    t_status_is 0 'NAME finds NAME.gguf'
    cp out whole
    t_run env XDG_DATA_HOME="$PWD/x" "$p" -m mine --ids a.txt
    t_status_is 3 'not there'
    cp "$TINY_MODEL" x/omni/models/SmolLM2-135M-Instruct.Q4_1.gguf
    t_run env XDG_DATA_HOME="$PWD/x" OMNI_MODEL_PATH= "$p" --ids a.txt
    t_ok 'the default model by the file name it comes with' cmp out whole
    t_run "$p" -m models/mine.gguf --ids a.txt
    t_ok 'a file' cmp out whole
    printf '# a set\nspeak = other.gguf\n  text =  mine.gguf  \ntext.licence = MIT\n' >models/set.omni
    t_run env OMNI_MODEL_PATH="$PWD/models" "$p" -m set --ids a.txt
    t_ok 'a model set: the text role, beside it' cmp out whole
    printf 'text = mine.gguf\n' >x/omni/models/set2.omni
    t_run env XDG_DATA_HOME="$PWD/x" OMNI_MODEL_PATH="$PWD/models" "$p" -m set2 --ids a.txt
    t_ok 'a model set: on the search path' cmp out whole
    printf 'text.sha256 = 00\n' >models/bad.omni
    t_run "$p" -m models/bad.omni --ids a.txt
    t_err_like "omni-encode: models/bad.omni: expected a line 'text = FILE', found none" 'a model set without text'
    printf 'text = nosuch.gguf\n' >models/bad.omni
    t_run env OMNI_MODEL_PATH="$PWD/models" "$p" -m bad --ids a.txt
    t_ok 'a model set with a missing file, by name' grep -q 'found .*bad.omni: text = nosuch.gguf: no such file' err
    t_run "$p" -m models/bad.omni --ids a.txt
    t_err_like 'omni-encode: models/bad.omni: text = nosuch.gguf: no such file*' 'a model set with a missing file'
else
    t_skip 1 'no tests/data/tiny-llama.gguf'
fi
t_done
