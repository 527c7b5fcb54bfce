#!/bin/sh
# Output of every program: only the product on standard output, write errors told, nothing unfinished left behind.
# shellcheck source=tests/lib.sh
. tests/lib.sh

echo hello >a.txt
for p in "$OMNI_ENCODE" "$OMNI_RUN"; do
    n=$(basename "$p")
    for opt in --help --help=all --version; do
        if [ -c /dev/full ]; then
            "$p" $opt >/dev/full 2>err
            t_is "$? $(cat err)" "4 $n: standard output: No space left on device" "$n $opt to a full disk"
        else
            t_skip 1 'no /dev/full'
        fi
        "$p" $opt >&- 2>err
        t_is "$? $(cat err)" "4 $n: standard output: Bad file descriptor" "$n $opt to a closed standard output"
    done
    t_run sh -c '"$0" --help 2>&-' "$p"
    t_status_is 0 "$n: standard error closed"
    t_run sh -c '"$0" --nosuch 2>&-' "$p"
    t_status_is 2 "$n: an error with standard error closed"
done

p=$OMNI_ENCODE
"$p" a.txt >/dev/full 2>err
t_is "$? $(cat err)" '4 omni-encode: standard output: No space left on device' 'a full disk: told once, exit 4'
"$p" a.txt >&- 2>err
t_is "$? $(cat err)" '4 omni-encode: standard output: Bad file descriptor' 'standard output closed'
# A closed fd must not become a file that messages are written into.
"$p" -o keep a.txt >&- 2>&- <&-
t_is "$? $(tail -n 1 keep)" '0 end ok' 'all three standard fds closed: -o works'
"$p" a.txt >plain 2>/dev/null
"$p" -v --color=always a.txt >loud 2>err
t_ok '-v --color=always do not change the product' cmp plain loud

# -o
echo old >result
chmod 640 result
t_run "$p" -o result a.txt
t_is "$t_status $(head -n 1 result)" '0 omni 1 from=omni-encode' '-o replaces the file'
t_is "$(ls -l result | cut -c 1-10)" '-rw-r-----' '-o keeps its mode'
t_run "$p" -o result nosuch
t_is "$t_status $(head -n 1 result)" '3 omni 1 from=omni-encode' '-o: a failure leaves the old file'
t_is "$(ls result*)" result '-o: and no other'
ln -s result link
t_run "$p" -o link --role tool a.txt
t_ok '-o through a link' test -L link
t_is "$(sed -n 2p result)" 'role tool' '-o through a link writes the file it points to'
mkdir folder
t_run "$p" -o folder a.txt
t_err_like 'omni-encode: folder: Is a directory' '-o FOLDER'
t_status_is 4 '-o FOLDER: exit 4'
t_run "$p" -o nosuch/file a.txt
t_err_like 'omni-encode: nosuch/file: No such file or directory' '-o in a missing folder'
t_run "$p" -o ''  a.txt
t_status_is 4 "-o ''"
t_run "$p" -o /dev/full a.txt
t_is "$t_status $(cat err)" '4 omni-encode: /dev/full: No space left on device' '-o /dev/full: a device is written directly'
t_ok '-o /dev/full: is still a device' test -c /dev/full
t_run "$p" -o - a.txt
t_ok '-o - is standard output' cmp out plain
mkfifo fifo
cat fifo >from-fifo &
t_run "$p" -o fifo a.txt
wait
t_ok '-o to a fifo' cmp from-fifo plain
t_ok '-o to a fifo: is still a fifo' test -p fifo

# A file size limit is a full disk, not a signal.
head -c 300000 /dev/zero | tr '\0' '\n' >many.txt
t_run sh -c 'ulimit -f 8; "$0" -o limited many.txt' "$p"
t_is "$t_status $(ls limited* 2>/dev/null)" '4 ' 'a file size limit: exit 4, nothing left'
t_err_like 'omni-encode: limited: File too large' 'a file size limit: message'

# A slow reader and a non-blocking pipe lose nothing.
t_run "$p" many.txt
cp out whole
sh -c '"$0" many.txt | (sleep 0.3; cat)' "$p" >slow
t_ok 'a slow reader gets everything' cmp slow whole
perl -MFcntl -e 'pipe(my $r, my $w) or die; fcntl($w, F_SETFL, O_NONBLOCK) or die;
    if (!fork) { close $r; open STDOUT, ">&", $w; exec @ARGV } close $w;
    select undef, undef, undef, 0.3; print while <$r>; wait; exit $? >> 8' "$p" many.txt >nonblocking
t_is "$?" 0 'a non-blocking pipe: exit 0'
t_ok 'a non-blocking pipe gets everything' cmp nonblocking whole
t_done
