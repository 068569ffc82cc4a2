#!/usr/bin/env bash
# Plays a kvstore cluster with curl: three nodes that wait, init, learners, a membership of three,
# writes and reads, a killed leader, its return.
source "$(dirname "$0")/../testing.sh"

start() {
  run "$1" examples.kvstore --id "$1" --raft-addr "${raft[$1]}" --http-addr "${http[$1]}" \
    --dir "$work/node-$1"
}
leader_of() { call GET "$1" /metrics | field current_leader; }
answers() { call GET "$1" /metrics; }
reads() { [ "$(call POST "$1" /read "\"$2\"")" = "\"$3\"" ]; }
# holds NODE VALUE: what a linearizable read of foo there brings
holds() { [ "$(call POST "$1" '/linearizable-read?timeout=30' '"foo"')" = "\"$2\"" ]; }

say "three nodes start alike and wait"
for n in 1 2 3; do start "$n"; done
for n in 1 2 3; do await "node $n answering" answers "$n"; done
refuse 503 POST 1 '/write?timeout=0.3' '{"Set":{"key":"foo","value":"early"}}'

say "node 1 becomes a cluster of one"
told POST 1 /init '{}'
told POST 1 /init '{}'
await "node 1 leading" has_leader_other_than 1 0
told GET 1 /metrics

say "nodes 2 and 3 learn, then vote"
told POST 1 '/add-learner?timeout=30' "[2, \"${raft[2]}\", \"${http[2]}\"]"
told POST 1 '/add-learner?timeout=30' "[3, \"${raft[3]}\", \"${http[3]}\"]"
told POST 1 '/change-membership?timeout=30' '[1, 2, 3]'
told GET 1 /list-nodes

say "a write on the leader, one on a follower"
told POST 1 '/write?timeout=30' '{"Set":{"key":"foo","value":"bar"}}'
told POST 2 '/write?timeout=30' '{"Append":{"key":"foo","value":"!"}}'
for n in 1 2 3; do await "node $n holding the writes" reads "$n" foo 'bar!'; done
holds 3 'bar!' || fail "node 3 reads another value"

say "a write that is sent twice is carried out once"
session=$(call POST 2 '/session?timeout=30' '' | field session)
for _ in 1 2; do
  told POST 3 '/write?timeout=30' "{\"Append\":{\"key\":\"foo\",\"value\":\"?\"},\"session\":$session,\"seq\":1}"
done
holds 2 'bar!?' || fail "it was carried out twice"

say "wrong requests are refused with 400"
for body in 'no JSON' '{}' '{"Set":{"key":"foo"}}' '{"Set":{"key":1,"value":"x"}}'; do
  refuse 400 POST 1 /write "$body"
done

say "a snapshot, and the leadership handed to node 2"
told POST 1 '/snapshot?timeout=30' ''
told POST 1 '/transfer-leader?timeout=30' 2

say "kill -9 of the leader; the others go on"
kill_leader
holds "$survivor" 'bar!?' || fail "a write was lost"
told POST "$survivor" '/write?timeout=30' '{"Set":{"key":"foo","value":"baz"}}'

say "it comes back and catches up"
start "$leader"
await "node $leader answering" answers "$leader"
await "node $leader holding what it missed" reads "$leader" foo baz
told POST "$leader" '/linearizable-read?timeout=30' '"foo"'

say "SIGTERM ends all of them cleanly, and the cluster is there again after a restart"
stop_all
for n in 1 2 3; do start "$n"; done
for n in 1 2 3; do await "node $n answering" answers "$n"; done
holds 1 baz || fail "a write was lost"
say "all as it should be"
