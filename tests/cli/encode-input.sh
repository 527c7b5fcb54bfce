#!/bin/sh
# omni-encode: bad input. One clear line, exit 3, "end error" in the stream, no file from -o; the rest still runs.
# shellcheck source=tests/lib.sh
. tests/lib.sh

echo good >good.txt
refused() { # NAME MESSAGE-PATTERN ARGUMENT...
    r_name=$1 r_message=$2
    shift 2
    t_run "$OMNI_ENCODE" "$@"
    t_status_is 3 "$r_name: exit 3"
    t_err_like "omni-encode: $r_message" "$r_name: message"
    t_is "$(tail -n 1 out)" 'end error input' "$r_name: the stream ends in an error"
    t_run "$OMNI_ENCODE" -o result "$@"
    t_is "$t_status $(ls result* 2>/dev/null)" '3 ' "$r_name: -o leaves nothing"
    t_run "$OMNI_ENCODE" "$@" good.txt
    t_is "$t_status $(grep good out) $(tail -n 1 out)" '3 meta {"source":"good.txt"}
text "good\n" end error input' "$r_name: the operand after it is still read"
}

refused 'missing file' 'nosuch: No such file or directory' nosuch
mkdir folder
refused 'directory' 'folder: Is a directory' folder
if [ "$(id -u)" -ne 0 ]; then
    echo secret >locked && chmod 0 locked
    refused 'unreadable file' 'locked: Permission denied' locked
else
    t_skip 6 'root may read everything'
fi
printf 'caf\351 au lait\n' >latin1.txt
refused 'Latin-1' 'latin1.txt: byte 3: expected UTF-8 text, found 0xE9' latin1.txt
printf 'ab\0cd\n' >nul.txt
refused 'NUL' 'nul.txt: byte 2: expected UTF-8 text, found 0x00' nul.txt
printf 'one\ntwo \342\202' >cut.txt
refused 'character cut at the end' 'cut.txt: byte 8: expected UTF-8 text, found 0xE2' cut.txt
printf '\355\240\200' >surrogate.txt
refused 'surrogate' 'surrogate.txt: byte 0: expected UTF-8*' surrogate.txt
printf '\300\200' >overlong.txt
refused 'overlong' 'overlong.txt: byte 0: expected UTF-8*' overlong.txt
printf '\364\220\200\200' >beyond.txt
refused 'beyond U+10FFFF' 'beyond.txt: byte 0: expected UTF-8*' beyond.txt
(head -c 65535 /dev/zero | tr '\0' a && printf '\303\251\377') >late.txt
refused 'bad byte in a later piece' 'late.txt: byte 65537: expected UTF-8 text, found 0xFF' late.txt
refused 'empty name' ': No such file or directory' ''

printf '\357\277\275 \364\217\277\277 \360\237\230\200\n' >good-utf8.txt
t_run "$OMNI_ENCODE" good-utf8.txt
t_status_is 0 'U+FFFD, U+10FFFF and an emoji are text'

t_run "$OMNI_ENCODE" <folder
t_status_is 3 'a directory as standard input'
t_err_like 'omni-encode: standard input: Is a directory' 'a directory as standard input: message'
t_run "$OMNI_ENCODE" <&-
t_status_is 3 'standard input closed'
t_err_like 'omni-encode: standard input: closed' 'standard input closed: message'
t_is "$(tail -n 1 out)" 'end error input' 'standard input closed: the stream says so'
t_run "$OMNI_ENCODE" good.txt <&-
t_status_is 0 'standard input closed but not needed'

nl='
'
esc=$(printf '\033[31m')
t_run "$OMNI_ENCODE" "no${nl}such${esc}file"
t_err_like 'omni-encode: no\\nsuch\\x1b\[31mfile: No such*' 'a file name cannot break the line or colour the terminal'
echo x >"quo\"te${nl}"
t_run "$OMNI_ENCODE" "quo\"te${nl}"
t_is "$(sed -n 3p out)" 'meta {"source":"quo\"te\n"}' 'a file name is quoted in the stream'

# A line of 1 GB goes through in pieces, with bounded memory; --ids, which needs the line as a whole, refuses it.
limit=$(t_limit_memory 400000)
t_run sh -c '(eval "$1"; head -c 1G /dev/zero | tr "\0" a | "$0") | tail -n 1' "$OMNI_ENCODE" "$limit"
t_out_is 'end ok' 'a line of 1 GB'
t_run sh -c 'head -c 1G /dev/zero | (eval "$1"; "$0")' "$OMNI_ENCODE" "$limit"
t_status_is 3 '1 GB of NULs'
t_err_like 'omni-encode: standard input: byte 0: expected UTF-8 text, found 0x00' '1 GB of NULs: message'

t_run "$OMNI_ENCODE" - - <good.txt
t_is "$t_status $(grep -c '^text' out)" '0 1' 'standard input twice: the second time it is empty'
t_done
