#!/bin/sh
# SPDX-License-Identifier: MIT
# steps.sh LIST MINUTES: every command of the list, one "NAME COMMAND" a line, round after round until the minutes are
# over, one round at least. Behind each it is looked at whether there is as much memory, and there are as many tasks, as
# when the first round began. It ends with 0 if nothing went wrong; ./verdant stress reads what it says.
list=$1 minutes=$2 failed=0 round=0
LIMIT=900   # seconds of one step: it has hung

# What the first use of something makes is there when the counting begins.
stress run 1 4 && stress mark /tmp/mark || exit 1
read -r now rest </proc/uptime
end=$((${now%.*} + 60 * minutes))
while
    round=$((round + 1))
    while read -r name command <&3; do
        echo "steps: begin $round $name"
        read -r now rest </proc/uptime
        timeout -s KILL $LIMIT sh -c "$command" </dev/null
        status=$?
        [ $status -ne 137 ] || kill -9 -1 # and what it started
        read -r after rest </proc/uptime
        kept=$(stress compare /tmp/mark)
        same=$?
        echo "steps: end $round $name: $status, $same, $((${after%.*} - ${now%.*})) s, $kept"
        [ $status -eq 0 ] && [ $same -eq 0 ] || failed=$((failed + 1))
    done 3<"$list"
    read -r now rest </proc/uptime
    [ "${now%.*}" -lt $end ]
do :; done
echo "steps: $round rounds, $failed failures"
[ $failed -eq 0 ]
