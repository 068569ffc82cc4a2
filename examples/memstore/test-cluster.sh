#!/usr/bin/env bash
# Plays a memstore cluster with curl: three nodes, a write, a killed leader, a restart, a farewell.
source "$(dirname "$0")/../testing.sh"

# start NODE [OPTION...]
start() {
  run "$1" examples.memstore --raft-addr "${raft[$1]}" --web-server "${http[$1]}" \
    --log-dir "$work/node-$1" "${@:2}"
}
leader_of() { call GET "$1" /leader | field leader_id; }
answers() { call GET "$1" /peers; }
holds() { [ "$(call GET "$1" "/store/$2")" = "$3" ]; }
counts() { [ "$(call GET "$1" /peers | "$PYTHON" -c 'import json, sys; print(len(json.load(sys.stdin)))')" = "$2" ]; }

say "node 1 founds a cluster, nodes 2 and 3 join it"
grow
for n in 1 2 3; do await "node $n seeing three peers" counts "$n" 3; done
told GET 1 /peers
told GET 2 /leader

say "a write through a follower is on every node"
told PUT 2 /store/fruit/apple
told PUT 3 /store/text 'any bytes, /slashes/ too'
for n in 1 2 3; do await "node $n holding the write" holds "$n" fruit apple; done
[ "$(call GET 1 '/store/text?linearizable')" = 'any bytes, /slashes/ too' ] || fail "text differs"
refuse 404 GET 1 /store/none

say "a snapshot, and the leadership handed to node 2"
told POST 1 /snapshot
told POST 1 /transfer_leader/2
await "node 2 leading" has_leader_other_than 2 1

say "the leader is killed, the others go on"
kill_leader
told PUT "$survivor" /store/fruit/pear

say "it comes back and catches up"
start "$leader"
await "node $leader answering" answers "$leader"
await "node $leader holding what it missed" holds "$leader" fruit pear

say "node $leader leaves; its program ends by itself"
told POST "$leader" /leave
wait "${pid[$leader]}" || fail "node $leader ended with code $?"
unset "pid[$leader]"
await "the others seeing two peers" counts "$survivor" 2
told PUT "$survivor" /store/fruit/plum

say "SIGTERM ends the others cleanly"
stop_all
say "all as it should be"
