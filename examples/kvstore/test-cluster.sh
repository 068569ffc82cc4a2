#!/usr/bin/env bash
# Plays a kvstore cluster with curl: three nodes that wait, init, learners, a membership of three,
# writes and reads, a killed leader, its return. Ports are whatever the kernel has free; everything
# lives in a temporary directory and ends with this script. PYTHON names the interpreter (default:
# the checkout's .venv, or python3).
set -euo pipefail
cd "$(dirname "$0")/../.."

PYTHON=${PYTHON:-}
if [ -z "$PYTHON" ]; then
  if [ -x .venv/bin/python ]; then PYTHON=.venv/bin/python; else PYTHON=python3; fi
fi
work=$(mktemp -d)
declare -a pid=() raft=() http=()

finish() {
  status=$?
  for n in "${!pid[@]}"; do kill -KILL "${pid[$n]}" 2>/dev/null || true; done
  wait 2>/dev/null || true
  if [ "$status" -ne 0 ]; then
    for file in "$work"/*.txt; do printf -- '--- %s\n' "$file"; cat "$file"; done >&2
  fi
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

say() { printf '\n== %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

start() {
  "$PYTHON" -m examples.kvstore --id "$1" --raft-addr "${raft[$1]}" --http-addr "${http[$1]}" \
    --dir "$work/node-$1" >>"$work/node-$1.txt" 2>&1 &
  pid[$1]=$!
}

# rpc NODE PATH [BODY]: prints the answer; fails on any status from 400 on
rpc() {
  curl --silent --show-error --fail-with-body --max-time 40 ${3+--data "$3"} "http://${http[$1]}$2"
}
# told NODE PATH [BODY]: the same, with what was asked in front
told() { printf '%s -> ' "node $1 $2 ${3-}"; rpc "$@" || fail "node $1 refused $2"; echo; }
# status NODE PATH BODY: prints the status
status() {
  curl --silent --output /dev/null --write-out '%{http_code}' --max-time 40 --data "$3" "http://${http[$1]}$2"
}
field() { "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

# await WHAT COMMAND...: repeats COMMAND until it succeeds, for at most 60 seconds
await() {
  local what=$1 deadline=$((SECONDS + 60))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || fail "$what did not happen within 60 seconds"
    sleep 0.1
  done
}

answers() { rpc "$1" /metrics; }
reads() { [ "$(rpc "$1" /read "\"$2\"")" = "\"$3\"" ]; }
writes() { rpc "$1" /write "$2"; }
has_leader_other_than() {
  local id
  id=$(rpc "$1" /metrics | field current_leader) && [ "$id" != 0 ] && [ "$id" != "$2" ]
}

read -r -a ports < <("$PYTHON" -c '
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(6)]
print(*(s.getsockname()[1] for s in held))')
for n in 1 2 3; do
  raft[$n]=127.0.0.1:${ports[$((n - 1))]}
  http[$n]=127.0.0.1:${ports[$((n + 2))]}
done

say "three nodes start alike and wait"
for n in 1 2 3; do start "$n"; done
for n in 1 2 3; do await "node $n answering" answers "$n"; done
[ "$(status 1 '/write?timeout=0.3' '{"Set":{"key":"foo","value":"early"}}')" = 503 ] ||
  fail "a write without a cluster was not refused with 503"

say "node 1 becomes a cluster of one"
told 1 /init '{}'
told 1 /init '{}'
await "node 1 leading" has_leader_other_than 1 0
told 1 /metrics

say "nodes 2 and 3 learn, then vote"
told 1 '/add-learner?timeout=30' "[2, \"${raft[2]}\", \"${http[2]}\"]"
told 1 '/add-learner?timeout=30' "[3, \"${raft[3]}\", \"${http[3]}\"]"
told 1 '/change-membership?timeout=30' '[1, 2, 3]'
told 1 /list-nodes

say "a write on the leader, one on a follower"
told 1 '/write?timeout=30' '{"Set":{"key":"foo","value":"bar"}}'
told 2 '/write?timeout=30' '{"Append":{"key":"foo","value":"!"}}'
for n in 1 2 3; do await "node $n holding the writes" reads "$n" foo 'bar!'; done
[ "$(rpc 3 '/linearizable-read?timeout=30' '"foo"')" = '"bar!"' ] || fail "node 3 reads another value"

say "a write that is sent twice is carried out once"
session=$(rpc 2 '/session?timeout=30' '' | field session)
for _ in 1 2; do
  told 3 '/write?timeout=30' "{\"Append\":{\"key\":\"foo\",\"value\":\"?\"},\"session\":$session,\"seq\":1}"
done
[ "$(rpc 2 '/linearizable-read?timeout=30' '"foo"')" = '"bar!?"' ] || fail "it was carried out twice"

say "wrong requests are refused with 400"
for body in 'no JSON' '{}' '{"Set":{"key":"foo"}}' '{"Set":{"key":1,"value":"x"}}'; do
  code=$(status 1 /write "$body")
  echo "$body -> $code"
  [ "$code" = 400 ] || fail "$body is answered with $code"
done

say "a snapshot, and the leadership handed to node 2"
told 1 '/snapshot?timeout=30'  ''
told 1 '/transfer-leader?timeout=30' 2

say "kill -9 of the leader; the others go on"
leader=$(rpc 3 /metrics | field current_leader)
kill -KILL "${pid[$leader]}"
wait "${pid[$leader]}" 2>/dev/null || true
survivor=3
[ "$leader" != 3 ] || survivor=1
await "another leader" has_leader_other_than "$survivor" "$leader"
[ "$(rpc "$survivor" '/linearizable-read?timeout=30' '"foo"')" = '"bar!?"' ] || fail "a write was lost"
told "$survivor" '/write?timeout=30' '{"Set":{"key":"foo","value":"baz"}}'

say "it comes back and catches up"
start "$leader"
await "node $leader answering" answers "$leader"
await "node $leader holding what it missed" reads "$leader" foo baz
told "$leader" '/linearizable-read?timeout=30' '"foo"'

say "SIGTERM ends all of them cleanly, and the cluster is there again after a restart"
for n in 1 2 3; do
  kill -TERM "${pid[$n]}"
  wait "${pid[$n]}" || fail "node $n ended with code $?"
  unset "pid[$n]"
done
for n in 1 2 3; do start "$n"; done
for n in 1 2 3; do await "node $n answering" answers "$n"; done
[ "$(rpc 1 '/linearizable-read?timeout=30' '"foo"')" = '"baz"' ] || fail "a write was lost"
say "all as it should be"
