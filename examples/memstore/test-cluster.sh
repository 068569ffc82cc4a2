#!/usr/bin/env bash
# Plays a memstore cluster with curl: three nodes, a write, a killed leader, a restart, a farewell.
# Ports are whatever the kernel has free; everything lives in a temporary directory and ends with
# this script. PYTHON names the interpreter (default: the checkout's .venv, or python3).
set -euo pipefail
cd "$(dirname "$0")/../.."

PYTHON=${PYTHON:-}
if [ -z "$PYTHON" ]; then
  if [ -x .venv/bin/python ]; then PYTHON=.venv/bin/python; else PYTHON=python3; fi
fi
work=$(mktemp -d)
declare -a pid=() raft=() web=()

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

# start NODE [OPTION...]
start() {
  local n=$1
  shift
  "$PYTHON" -m examples.memstore --raft-addr "127.0.0.1:${raft[$n]}" \
    --web-server "127.0.0.1:${web[$n]}" --log-dir "$work/node-$n" "$@" >>"$work/node-$n.txt" 2>&1 &
  pid[$n]=$!
}

# call METHOD NODE PATH [CURL-OPTION...]: prints the body; fails on any status from 400 on
call() {
  local method=$1 n=$2 path=$3
  shift 3
  curl --silent --show-error --fail-with-body --max-time 15 --request "$method" "$@" \
    "http://127.0.0.1:${web[$n]}$path"
}

# field NAME: prints that field of the JSON object on standard input
field() { "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

# await WHAT COMMAND...: repeats COMMAND until it succeeds, for at most 30 seconds
await() {
  local what=$1 deadline=$((SECONDS + 30))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || fail "$what did not happen within 30 seconds"
    sleep 0.1
  done
}

answers() { call GET "$1" /peers; }
holds() { [ "$(call GET "$1" "/store/$2")" = "$3" ]; }
has_leader_other_than() {
  local id
  id=$(call GET "$1" /leader | field leader_id) && [ "$id" != 0 ] && [ "$id" != "$2" ]
}
counts() { [ "$(call GET "$1" /peers | "$PYTHON" -c 'import json, sys; print(len(json.load(sys.stdin)))')" = "$2" ]; }

read -r -a ports < <("$PYTHON" -c '
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(6)]
print(*(s.getsockname()[1] for s in held))')
for n in 1 2 3; do raft[$n]=${ports[$((n - 1))]}; web[$n]=${ports[$((n + 2))]}; done

say "node 1 founds a cluster, nodes 2 and 3 join it"
start 1
await "node 1 answering" answers 1
for n in 2 3; do
  start "$n" --peer-addr "127.0.0.1:${raft[1]}"
  await "node $n answering" answers "$n"
done
for n in 1 2 3; do await "node $n seeing three peers" counts "$n" 3; done
call GET 1 /peers; echo
call GET 2 /leader; echo

say "a write through a follower is on every node"
call PUT 2 /store/fruit/apple; echo
call PUT 3 /store/text --data-binary 'any bytes, /slashes/ too'; echo
for n in 1 2 3; do await "node $n holding the write" holds "$n" fruit apple; done
[ "$(call GET 1 '/store/text?linearizable')" = 'any bytes, /slashes/ too' ] || fail "text differs"
code=$(curl --silent --output /dev/null --write-out '%{http_code}' "http://127.0.0.1:${web[1]}/store/none")
[ "$code" = 404 ] || fail "a missing key answers $code, not 404"

say "a snapshot, and the leadership handed to node 2"
call POST 1 /snapshot; echo
call POST 1 /transfer_leader/2; echo
await "node 2 leading" has_leader_other_than 2 1

say "the leader is killed, the others go on"
leader=$(call GET 3 /leader | field leader_id)
kill -KILL "${pid[$leader]}"
wait "${pid[$leader]}" 2>/dev/null || true
survivor=3
[ "$leader" != 3 ] || survivor=1
await "another leader" has_leader_other_than "$survivor" "$leader"
call PUT "$survivor" /store/fruit/pear; echo

say "it comes back and catches up"
start "$leader"
await "node $leader answering" answers "$leader"
await "node $leader holding what it missed" holds "$leader" fruit pear

say "node $leader leaves; its program ends by itself"
call POST "$leader" /leave; echo
wait "${pid[$leader]}" || fail "node $leader ended with code $?"
unset "pid[$leader]"
await "the others seeing two peers" counts "$survivor" 2
call PUT "$survivor" /store/fruit/plum; echo

say "SIGTERM ends the others cleanly"
for n in "${!pid[@]}"; do
  kill -TERM "${pid[$n]}"
  wait "${pid[$n]}" || fail "node $n ended with code $?"
  unset "pid[$n]"
done
say "all as it should be"
