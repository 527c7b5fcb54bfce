# tests/signal.pl SIGNAL[,SIGNAL...] COMMAND... - says how a command dies by signals, which a shell cannot see:
# "signal 2" or "exit 130". A shell also starts background jobs with SIGINT ignored; here all is at its default.
# The signals come, 0.2 s apart, when the command has written something to the file out or err (or after 2 s).
use strict;
use warnings;
use Time::HiRes 'sleep';

my @signals = split /,/, shift;
my $pid = fork // die "fork: $!";
if ($pid == 0) {
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE);
    open STDOUT, '>', 'out' or die "out: $!";
    open STDERR, '>', 'err' or die "err: $!";
    exec { $ARGV[0] } @ARGV;
    die "$ARGV[0]: $!";
}
for (my $t = 0; $t < 2 && !-s 'out' && !-s 'err'; $t += 0.05) {
    sleep 0.05;
}
for my $s (@signals) {
    kill $s, $pid;
    sleep 0.2;
}
# a command that ignores them must not hang the tests
local $SIG{ALRM} = sub { kill 'KILL', $pid };
alarm 60;
waitpid $pid, 0;
my $st = $?;
print $st & 127 ? 'signal ' . ($st & 127) : 'exit ' . ($st >> 8), "\n";
