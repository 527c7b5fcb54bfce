#!/bin/sh
# omni-encode: text in, one stream out.
# shellcheck source=tests/lib.sh
. tests/lib.sh

head='omni 1 from=omni-encode'

printf 'What is this?\n' >q.txt
t_run "$OMNI_ENCODE" q.txt
t_status_is 0 'a file'
t_out_is "$head
role user
meta {\"source\":\"q.txt\"}
text \"What is this?\\n\"
end ok" 'a file: the stream'
t_err_is '' 'a file: nothing on standard error'

t_run "$OMNI_ENCODE" <q.txt
t_status_is 0 'standard input'
t_out_is "$head
role user
text \"What is this?\\n\"
end ok" 'standard input has no name to record'

t_run "$OMNI_ENCODE" - <q.txt
t_out_is "$head
role user
meta {\"source\":\"-\"}
text \"What is this?\\n\"
end ok" 'the operand - is standard input'

printf 'no newline' >n.txt
t_run "$OMNI_ENCODE" --system 'Be brief.' --role tool q.txt n.txt q.txt
t_status_is 0 'several operands'
t_out_is "$head
role system
text \"Be brief.\"
role tool
meta {\"source\":\"q.txt\"}
text \"What is this?\\n\"
meta {\"source\":\"n.txt\"}
text \"no newline\"
meta {\"source\":\"q.txt\"}
text \"What is this?\\n\"
end ok" 'several operands, one twice: in order, in one stream, with system text and role'

t_run "$OMNI_ENCODE"
t_status_is 0 'empty input'
t_out_is "$head
role user
end ok" 'empty input is an empty text'

# Every byte of a text comes out of the JSON strings again, whatever the pieces.
perl -e 'binmode STDOUT; for my $i (1..20000) { print chr(0xC3), chr(0xA9), "\t", "\"", "\\", chr(0xF0), chr(0x9F),
    chr(0x98), chr(0x80), "x" x ($i % 7), $i % 5000 ? "" : "\n" } ' >long.txt
t_run "$OMNI_ENCODE" <long.txt
t_status_is 0 'long lines'
perl -ne 'if (s/^text "//) { s/"\n$//; s/\\n/\n/g; s/\\t/\t/g; s/\\(["\\])/$1/g; print }' <out >back.txt
t_ok 'long lines: the text is the same' cmp long.txt back.txt
t_ok 'long lines: no line of the stream is longer than 1 MiB' \
    perl -e 'while (<STDIN>) { exit 1 if length > 1 << 20 }' <out
cp out whole
# The records do not depend on how the bytes arrive.
t_run sh -c '(head -c 70001 long.txt; sleep 0.2; tail -c +70002 long.txt) | "$0"' "$OMNI_ENCODE"
t_ok 'a slow pipe gives the same records' cmp out whole

# Lines are handed on at once, while the pipe stays open.
mkfifo in.fifo
"$OMNI_ENCODE" <in.fifo >live &
exec 3>in.fifo
echo 'first line' >&3
for t_i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    grep -q first live && break
    sleep 0.1
done
t_is "$(tail -n 1 live)" 'text "first line\n"' "a line is written before the next one is read ($t_i)"
exec 3>&-
wait
t_is "$(tail -n 1 live)" 'end ok' 'and the end when the pipe ends'

t_run "$OMNI_ENCODE" --role ''
t_status_is 2 'an empty role is a usage error'
t_run "$OMNI_ENCODE" --role 'a b'
t_err_like "omni-encode: --role: expected *found 'a b'*" 'a role is one word'
t_run "$OMNI_ENCODE" --special q.txt
t_err_like 'omni-encode: --special needs --ids*' '--special without --ids'
t_run "$OMNI_ENCODE" --system "$(printf 'bad\377')"
t_status_is 2 'system text must be UTF-8'

t_run "$OMNI_ENCODE" -o result q.txt
t_is "$t_status $(cat out err)" '0 ' '-o: nothing on standard output'
t_is "$(tail -n 1 result)" 'end ok' '-o: the stream is in the file'
t_done
