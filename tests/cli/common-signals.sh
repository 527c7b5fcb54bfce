#!/bin/sh
# Programs die by the signal, after tidying up.
# shellcheck source=tests/lib.sh
. tests/lib.sh
p=$OMNI_ENCODE

# A reader that leaves ends us at once, even under a parent that ignores SIGPIPE.
# shellcheck disable=SC2016  # perl
endless='$SIG{PIPE} = "IGNORE" if $ARGV[0] eq "ignore"; shift;
    pipe(my $r, my $w) or die; my $pid = fork;
    if (!$pid) { close $r; open STDOUT, ">&", $w; exec @ARGV } close $w;
    my $line = <$r>; close $r; waitpid $pid, 0; print $line, "signal ", $? & 127, "\n"'
yes 'a line of text' | head -c 100000000 >endless.txt
t_is "$(perl -e "$endless" default "$p" endless.txt)" 'omni 1 from=omni-encode
signal 13' 'SIGPIPE ends the program'
t_is "$(perl -e "$endless" ignore "$p" endless.txt)" 'omni 1 from=omni-encode
signal 13' 'SIGPIPE does so when the parent ignores it'
t_is "$("$p" endless.txt | head -n 1)" 'omni 1 from=omni-encode' 'omni-encode | head -n 1'

mkfifo fifo
waiting() { # reads standard input from a fifo that says nothing more
    (echo started; exec sleep 5) >fifo &
    t_how=$(t_signal "$@" <fifo)
    kill $! 2>/dev/null
    wait
}
waiting INT "$p"
t_is "$t_how" 'signal 2' 'SIGINT while waiting for input'
t_is "$(tail -n 1 out)" 'end error interrupted' 'SIGINT: the stream says why it ends'
t_is "$(cat err)" '' 'SIGINT: no message'
waiting TERM "$p"
t_is "$t_how $(tail -n 1 out)" 'signal 15 end error interrupted' 'SIGTERM'
waiting HUP "$p"
t_is "$t_how" 'signal 1' 'SIGHUP'
waiting INT "$p" -o result
t_is "$t_how $(ls result* 2>/dev/null)" 'signal 2 ' 'SIGINT with -o leaves no file'
waiting INT "$p" - -
t_is "$t_how" 'signal 2' 'SIGINT ends the loop over the operands'

# Stuck in a write: the first SIGINT waits for the reader, the second does not.
mkfifo stuck
(exec sleep 8) <stuck &
t_how=$(t_signal INT,INT "$p" -o stuck endless.txt)
kill $! 2>/dev/null
wait
t_is "$t_how" 'signal 2' 'the second SIGINT ends a stuck write'

# nohup: what was ignored at the start stays ignored.
(echo started; sleep 1; echo more) >fifo &
t_is "$(perl -e '$SIG{HUP} = "IGNORE"; my $pid = fork; if (!$pid) { exec @ARGV }
    select undef, undef, undef, 0.4; kill "HUP", $pid; waitpid $pid, 0; print "status $?\n"' "$p" <fifo | tail -n 1)" \
    'status 0' 'SIGHUP under nohup is ignored'
wait
t_done
