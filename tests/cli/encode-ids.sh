#!/bin/sh
# omni-encode --ids: one line of ids for each line of text.
# shellcheck source=tests/lib.sh
. tests/lib.sh
[ -f "$TINY_MODEL" ] || t_skip_all 'no tests/data/tiny-llama.gguf'

ids() {
    "$OMNI_ENCODE" -m "$TINY_MODEL" --ids "$@"
}

printf 'Hello world\n\nHello\n' >a.txt
t_run ids a.txt
t_status_is 0 'a file'
t_is "$(wc -l <out | tr -d ' ')" 3 'a line of ids for each line'
t_is "$(sed -n 2p out)" '' 'an empty line has no ids'
t_is "$(grep -c '[^0-9 ]' out)" 0 'ids separated by spaces, nothing else'
t_err_is '' 'nothing on standard error'
cp out whole
t_run ids <a.txt
t_ok 'the same from standard input' cmp out whole
printf 'Hello world\n\nHello' >b.txt
t_run ids b.txt
t_ok 'the last line needs no newline' cmp out whole
t_run ids --isa generic -t 3 a.txt
t_ok 'threads and ISA level change nothing' cmp out whole
t_run "$OMNI_ENCODE" -m tiny-llama --ids a.txt
t_ok 'the model by its name in OMNI_MODEL_PATH' cmp out whole

# --json: the texts of the ids are the text again.
printf 'Hello wor\303\251ld "quoted"\n' >q.txt
t_run ids --json q.txt
t_status_is 0 '--json'
t_like "$(cat out)" '{"source":"q.txt","line":1,"ids":\[*\],"texts":\[*\]}' '--json: one object a line'

# Control tokens are recognised only where asked for.
name=$(t_run ids --special --json a.txt; "$OMNI_RUN" -m "$TINY_MODEL" --info 2>/dev/null | grep -o '<|im_end|>' | head -n 1)
name=${name:-<|im_end|>}
printf '%s\n' "$name" >special.txt
t_run ids special.txt
plain=$(wc -w <out | tr -d ' ')
t_run ids --special special.txt
t_is "$(wc -w <out | tr -d ' ')" 1 "--special: $name is one token"
t_ok 'without --special it is text' test "$plain" -gt 1

# Any bytes can be encoded; this is a tool for tokenizers.
printf 'a\377\0b\n' >bytes.txt
t_run ids bytes.txt
t_status_is 0 'bytes that are no text have ids too'
t_run ids --json bytes.txt
t_status_is 0 '--json with bytes that are no text'

printf 'omni 1 vocab=00000001 from=x\nend ok\n' >s.omni
t_run ids s.omni
t_status_is 3 'a stream is refused'
t_err_like 'omni-encode: s.omni: expected text for --ids, found an omni-stream' 'a stream is refused: message'
t_run ids --text s.omni
t_is "$t_status $(wc -l <out | tr -d ' ')" '0 2' '--text reads it as text'
t_run ids --role user a.txt
t_status_is 2 '--role is a usage error with --ids'

t_run sh -c 'head -c 1G /dev/zero | "$@"' sh "$OMNI_ENCODE" -m "$TINY_MODEL" --ids
t_status_is 3 'a line of 1 GB is refused'
t_err_like 'omni-encode: standard input: line 1 is longer than *' 'a line of 1 GB is refused: message'

# In a stream, -m names the vocabulary.
t_run "$OMNI_ENCODE" -m "$TINY_MODEL" a.txt
t_like "$(head -n 1 out)" 'omni 1 vocab=[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f] from=omni-encode' \
    '-m writes the vocabulary into the head'
t_run "$OMNI_ENCODE" -m /nosuch.gguf -o result a.txt
t_is "$t_status $(ls result* 2>/dev/null)" '3 ' 'a missing model: exit 3, no file'
t_done
