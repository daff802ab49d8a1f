#!/usr/bin/env bash
# Where someone watches there is a bar, and it goes away; where not, there are plain lines.
source "$(dirname "$0")/common.sh"

run 0 demo-data --out set --train 8 --test 0
train=(pretrain --data set/train "${tiny[@]}" --steps 30 --resume never --out run --json)

# On a terminal of its own.
watched() {
  python3 -c 'import os, pty, sys
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))' "$udi" "${train[@]}" "$@" </dev/null >out.txt
}
shows() { grep -qF -- "$1" out.txt || die "the terminal does not show: $1"; }

TERM=xterm watched
shows 'pretrain  ['                # the stage, the bar
shows '[........................]' # nothing is done yet, all is done
shows '[########################]'
shows '  30/30  '
grep -qE 'images/s  loss [0-9]+\.[0-9]{4}  ETA [0-9]+:[0-9]{2}' out.txt || die 'speed, loss and time'
shows $'\r\033[K{'                 # the bar is away before the result
TERM=xterm watched -q
! grep -q '###' out.txt || die 'a bar in spite of -q'
TERM=dumb watched
! grep -qF $'\033' out.txt || die 'a bar on a terminal that cannot draw one'

run 0 "${train[@]}"
! grep -qF $'\033' err.txt || die 'a bar in a file'
