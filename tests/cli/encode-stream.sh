#!/bin/sh
# omni-encode: a stream in gives the same stream out.
# shellcheck source=tests/lib.sh
. tests/lib.sh

cat >a.omni <<'S'
omni 1 vocab=4f1c9d02 from=omni-encode
role user
audio 0 joe 812 93 4000 17
heard "what is in this picture"
image 2x2 17 903 55 1
frame 1000
text "Describe \u00e9 it."
later "a record kind that nobody knows yet" 1 2 3
guard {"by":"text","verdict":"allow"}
meta {"source":"cat.png"}
end ok
S
sed 's/\\u00e9/é/' a.omni >canonical.omni

t_run "$OMNI_ENCODE" a.omni
t_status_is 0 'a stream is passed on'
t_ok 'with every record, unknown ones too' cmp out canonical.omni
t_run "$OMNI_ENCODE" <a.omni
t_ok 'the same from standard input' cmp out canonical.omni

cat canonical.omni canonical.omni >two.omni
t_run "$OMNI_ENCODE" two.omni
t_status_is 0 'two streams after each other'
t_ok 'both are passed on' cmp out two.omni
t_run sh -c '"$0" a.omni | "$0" | "$0" --stream - a.omni' "$OMNI_ENCODE"
t_ok 'through a pipe of filters, and a second operand' cmp out two.omni

printf 'omni 1 vocab=4f1c9d02 from=x\nend blocked voice\n' >blocked.omni
t_run "$OMNI_ENCODE" blocked.omni
t_status_is 0 'a blocked stream is passed on'
t_ok 'as it is' cmp out blocked.omni

echo hello >t.txt
t_run "$OMNI_ENCODE" t.txt a.omni t.txt
t_status_is 0 'text, stream, text'
t_is "$(grep -c '^omni 1 ' out) $(grep -c '^end ok$' out)" '3 3' 'make three streams'

t_run "$OMNI_ENCODE" --system x a.omni
t_status_is 0 '--system with a stream'
t_err_like 'omni-encode: warning: a.omni: is a stream already*' '--system does not apply, and a warning says so'
t_run "$OMNI_ENCODE" -q --system x a.omni
t_err_is '' '-q: no warnings'

t_run "$OMNI_ENCODE" --text a.omni
t_is "$(sed -n 4p out)" 'text "omni 1 vocab=4f1c9d02 from=omni-encode\n"' '--text reads a stream as text'
t_run "$OMNI_ENCODE" --stream t.txt
t_status_is 3 '--stream refuses text'
t_err_like 'omni-encode: t.txt: expected an omni-stream*' '--stream refuses text: message'

# Cut at every line, and in the middle of each: never silent, never "end ok".
n=$(wc -l <a.omni) i=1
while [ "$i" -lt "$n" ]; do
    head -n "$i" a.omni >cut.omni
    t_run "$OMNI_ENCODE" cut.omni
    t_is "$t_status $(tail -n 1 out)" '3 end error input' "cut after line $i"
    t_like "$(cat err)" 'omni-encode: *cut.omni*' "cut after line $i: message"
    t_run "$OMNI_ENCODE" cut.omni t.txt
    t_is "$t_status $(grep -c '^omni 1 ' out) $(tail -n 1 out)" '3 2 end error input' \
        "cut after line $i: the next operand is a stream of its own"
    i=$((i + 1))
done
head -c "$(($(wc -c <a.omni) - 3))" a.omni >cut.omni
t_run "$OMNI_ENCODE" cut.omni
t_is "$t_status $(tail -n 1 out)" '3 end error input' 'cut in the end record'

printf 'omni 1 vocab=4f1c9d02\naudio 0 joe 5000000000\nend ok\n' >bad.omni
t_run "$OMNI_ENCODE" bad.omni
t_is "$t_status $(tail -n 1 out)" '3 end error input' 'a code that is no number'
t_err_like 'omni-encode: bad.omni*2*' 'a bad record: the message has file and line'
t_run "$OMNI_ENCODE" -o out.omni bad.omni
t_not '-o leaves nothing when the stream is bad' test -e out.omni
t_is "$(ls out.omni* 2>/dev/null)" '' 'nor a temporary file'
t_done
