#!/bin/sh
# SPDX-License-Identifier: MIT
# applets.sh: busybox's own applets, in an empty folder: what they print is the same on every Linux, whoever's it is.
# Each line begins with the part that it is of. test/boot/applets.golden is what Linux's say.
umask 022
export LC_ALL=C TZ=UTC0

part() { # NAME FUNCTION...: the lines of the function, and its status
    name=$1
    shift
    "$@" >out 2>&1
    echo "status $?" >>out
    sed "s/^/$name: /" out
}

words() { printf '%s\n' pear apple fig apple quince fig apple; }

filters() {
    words | sort | uniq -c | sort -k1,1nr -k2 | awk '{ print $2 "=" $1 }'
    words | sort -u | tr a-z A-Z | paste -s -d, -
    words | cut -c2-3 | rev | tac | head -n 3
    words | grep -n '^[ap].*e' | tail -n 2
    words | sed -n -e '2,4{s/\(.\)p/<\1>/;p}' -e '$!d' -e 's/$/!/p'
    seq 1 5 | sed '1!G;h;$!d' | tr '\n' ' '
    seq 10 -3 -5 | wc
    seq -w 8 11 | nl -w3 -s:
    printf 'a b  c\td\n' | expand -t 4 | fold -w 5 | cat -A
    printf 'one\ntwo\n' |
        awk 'BEGIN { s = 0 } { s += length($0); t[$1]++ } END { printf "%d %s %05.2f\n", s, toupper("x"), 3.14159 }'
    printf '3 x\n1 y\n2 z\n' | sort -n |
        awk '{ a[NR] = $2 } END { for (i = NR; i > 0; i--) printf "%s", a[i]; print "" }'
    yes no | head -n 4 | uniq -c
    words | tee copy | wc -l
    cmp copy copy && words | md5sum
}

sums() {
    seq 1 20000 >numbers
    md5sum numbers
    sha1sum numbers
    sha256sum numbers
    sha512sum numbers | cut -c1-32
    crc32 numbers
    sha3sum numbers | cut -c1-32
    sha256sum numbers >list && sha256sum -c list
    echo broken >>numbers
    sha256sum -c list
}

packing() {
    mkdir -p tree/a/b
    seq 1 3000 >tree/a/numbers
    echo text >tree/a/b/text
    ln -s ../numbers tree/a/b/link
    chmod 4711 tree/a/b/text
    for kind in gzip bzip2 xz; do
        tar cf - tree | case $kind in xz) cat ;; *) $kind -9 ;; esac >tree.$kind
        mkdir $kind
        case $kind in xz) cat ;; *) $kind -dc ;; esac <tree.$kind | tar xf - -C $kind
        (cd $kind && find tree | sort && cat tree/a/b/text && readlink tree/a/b/link)
        stat -c '%a %s %F' $kind/tree/a/b/text
        diff -r tree $kind/tree && echo same
    done
    (find tree | sort | cpio -o -H newc 2>/dev/null) >tree.cpio
    mkdir cpio && cd cpio && cpio -idm <../tree.cpio 2>/dev/null
    cat tree/a/b/link | tail -n 1
    cd ..
    base64 tree/a/b/text
    uuencode -m tree/a/b/text name | sed -n 2p
    od -b tree/a/b/text
    hexdump -C tree/a/b/text
    xxd tree/a/b/text | xxd -r
    dd if=tree/a/numbers bs=7 skip=3 count=2 2>/dev/null | od -c
    strings -n 4 tree.cpio | grep -c '^[0-9]'
    truncate -s 100 tree/a/numbers && tail -n 1 tree/a/numbers
    shred -n 0 -z tree/a/numbers && tr -d '\000' <tree/a/numbers | wc -c
}

names() {
    mkdir -p d/e/f
    touch -d '2001-02-03 04:05:06' d/one d/two d/e/three
    stat -c '%n %s %Y %h %f %F' d/one d/two
    ln d/one d/e/again && stat -c %h d/one
    ln -s e/again d/soft && readlink -f d/soft | sed 's|.*/d/|d/|'
    mv d/two d/e/f/moved
    cp -a d/one d/e/f/copy && stat -c %Y d/e/f/copy
    find d -type f -name '*e*' | sort
    find d -type f | sort | xargs -n 2 echo pair
    find d -type d -exec basename {} \; | sort
    test d/one -ef d/e/again && test ! d/one -nt d/e/f/copy && test -L d/soft && echo tests
    (cd d/e/f && pwd | sed 's|.*/d/|d/|')
    rmdir d/e 2>&1 | sed 's/^[^:]*: //'
    cat d/missing 2>&1 | sed 's/^[^:]*: //'
    rm -r d/e && ls -1 d
    cat d/soft 2>&1 | sed 's/^[^:]*: //'
    dirname /a/b/c/ && realpath /../.. && mktemp -u name.XXXXXX | wc -c
}

arithmetic() {
    echo $((7 * 6)) $((-7 / 2)) $((-7 % 3)) $((1 << 40)) $((0x1f ^ 010)) $((2 ** 10))
    expr 17 % 5 + 1
    expr abcdef : 'ab\(.*\)f'
    echo '2 ^ 200; scale = 20; 1 / 7; sqrt(2)' | bc
    echo '5 k 2 v p 3 5 | p' | dc 2>&1 | head -n 1
    factor 1234567890 97
    printf '%x %o %e %s %c|%-5s|%05d\n' 255 8 1234.5 text letter left 42
    date -u -d @951782400 '+%Y-%m-%d %H:%M:%S %j %a %b'
    cal 2 2000
}

flow() {
    count() { [ "$1" -gt 0 ] && echo "$1" && count $(($1 - 1)); }
    count 3
    for word in "a b" c 'd "e"'; do case $word in *\ *) echo "[$word]" ;; c) continue ;; esac; done
    set -- -a -b value rest
    while getopts ab: letter; do echo "$letter ${OPTARG-none}"; done
    shift $((OPTIND - 1)) && echo "$# $*"
    text=path/to/file.tar.gz
    echo "${text##*/} ${text%.*} ${text%%.*} ${#text} ${missing:-default} ${text#*/}"
    while read -r first rest; do echo "$rest,$first"; done <<TEXT
one two three
$((1 + 1)) \$HOME
TEXT
    (exit 7) || echo "left with $?"
    ! true && echo "not so" || echo inverted
    echo "$(echo nested "$(echo deeper)")" `echo old`
    IFS=: && set -- $(echo a:b:c) && echo "$2" && unset IFS
    eval 'x=5; echo $x' && readonly x && (x=6) 2>/dev/null || echo readonly
    false | true && echo "the last one counts"
}

processes() {
    (sleep 0; exit 3) &
    wait $!
    echo "waited for $?"
    sleep 1000 &
    kill $! && wait $! 2>/dev/null
    echo "killed $?"
    trap 'echo trapped' USR1 && kill -USR1 $$ && trap - USR1
    sh -c "trap 'echo leaving' EXIT; exit 4"
    echo "left with $?"
    mkfifo pipe && (seq 1 1000 >pipe &) && awk '{ s += $1 } END { print s }' <pipe
    timeout 1 sleep 100
    echo "timed out with $?"
    sh -c 'kill -9 $$'
    echo "killed $?"
    sh -c 'kill -STOP $$; echo continued' & job=$!
    while [ "$(sed 's/.*) //;s/ .*//' /proc/$job/stat)" != T ]; do usleep 1000; done
    kill -CONT $job && wait $job
    seq 1 100 | xargs -n 10 -P 4 sh -c 'echo $#' | sort | uniq -c | awk '{ print $1, $2 }'
    yes | head -n 100000 | tail -n 1
    (ulimit -n 10 && ulimit -n)
    before=$(sh -c 'cut -d" " -f19 /proc/$$/stat')
    renice -n 1 $$ && [ "$(sh -c 'cut -d" " -f19 /proc/$$/stat')" -gt "$before" ] && echo nicer
    seq 1 5 | while read -r n; do (exit "$n"); echo -n "$? "; done && echo
    env -i A=1 B=2 env | sort
    setsid sh -c 'test "$(cut -d" " -f6 /proc/$$/stat)" = $$ && echo leads a session'
    taskset -p $$ | wc -l
    pidof no-such-program || echo "no such program"
    echo 'echo "$0: $1"' >script && sh script word && chmod +x script && ./script other | sed 's|.*/||'
    exec 3>&1 && echo by three >&3 && exec 3>&-
    { echo to stderr >&2; } 2>&1 | cat
}

patching() {
    seq 1 20 >old
    sed -e '5s/.*/five/' -e '12d' -e '17a more' old >new
    diff -u -L old -L new old new >change
    cat change
    cp old again && patch again <change && cmp again new && echo patched
    ed again <<COMMANDS
1s/1/I/
2,3d
w
q
COMMANDS
    head -n 2 again
    unix2dos <again | head -n 1 | od -c | head -n 1
    awk -F, -v OFS=- '{ $2 = $2 * 2; print }' <<CSV
a,1,x
b,21,y
CSV
}

for each in filters sums packing names arithmetic flow processes patching; do
    mkdir "$each" && cd "$each" && part "$each" "$each"
    cd ..
done
