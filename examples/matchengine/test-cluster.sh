#!/usr/bin/env bash
# Plays a matching engine with curl: three nodes, orders through all of them, trades, an order sent
# twice, a killed leader, its return, a restart from snapshot and log. Ports are whatever the kernel
# has free; everything lives in a temporary directory and ends with this script. PYTHON names the
# interpreter (default: the checkout's .venv, or python3).
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

# start NODE [OPTION...]
start() {
  local n=$1
  shift
  "$PYTHON" -m examples.matchengine --raft-addr "${raft[$n]}" --http-addr "${http[$n]}" \
    --log-dir "$work/node-$n" "$@" >>"$work/node-$n.txt" 2>&1 &
  pid[$n]=$!
}

# call METHOD NODE PATH [BODY]: prints the answer; fails on any status from 400 on
call() {
  curl --silent --show-error --fail-with-body --max-time 40 --request "$1" ${4+--data "$4"} \
    "http://${http[$2]}$3"
}
# told METHOD NODE PATH [BODY]: the same, with what was asked in front
told() { printf '%s\n  ' "node $2: $1 $3 ${4-}"; call "$@" || fail "node $2 refused $1 $3"; echo; }
# status METHOD NODE PATH [BODY]: prints the status and the answer
status() {
  curl --silent --max-time 40 --request "$1" ${4+--data "$4"} --write-out ' %{http_code}' \
    "http://${http[$2]}$3"
}
# field NAME...: prints these fields of the JSON object on standard input
field() {
  "$PYTHON" -c 'import json, sys; o = json.load(sys.stdin); print(*(o[k] for k in sys.argv[1:]))' "$@"
}
# order ID SIDE PRICE QUANTITY: prints a limit order of BTC-USD
order() {
  printf '{"id":"%s","symbol":"BTC-USD","side":"%s","type":"limit","price":"%s","quantity":"%s"}' "$@"
}

# await WHAT COMMAND...: repeats COMMAND until it succeeds, for at most 60 seconds
await() {
  local what=$1 deadline=$((SECONDS + 60))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || fail "$what did not happen within 60 seconds"
    sleep 0.1
  done
}

answers() { call GET "$1" /status; }
# has_orders NODE COUNT: asked after a read that brings the node up to date
has_orders() { call GET "$1" /symbols >/dev/null && [ "$(call GET "$1" /status | field orders)" = "$2" ]; }
has_leader_other_than() {
  local id
  id=$(call GET "$1" /status | field leader_id) && [ "$id" != 0 ] && [ "$id" != "$2" ]
}
# same WHAT PATH: all nodes answer alike
same() {
  local one
  one=$(call GET 1 "$1")
  for n in 2 3; do [ "$(call GET "$n" "$1")" = "$one" ] || fail "node $n tells another $1"; done
  printf '%s\n' "$one"
}

read -r -a ports < <("$PYTHON" -c '
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(6)]
print(*(s.getsockname()[1] for s in held))')
for n in 1 2 3; do
  raft[$n]=127.0.0.1:${ports[$((n - 1))]}
  http[$n]=127.0.0.1:${ports[$((n + 2))]}
done

say "node 1 founds a cluster, nodes 2 and 3 join it"
start 1
await "node 1 answering" answers 1
for n in 2 3; do
  start "$n" --peer-addr "${raft[1]}"
  await "node $n answering" answers "$n"
done
told GET 3 /status

say "sellers on two prices, through three nodes"
told POST 1 /orders "$(order sell-1 sell 400.25 1.5)"
told POST 2 /orders "$(order sell-2 sell 400.25 2)"
told POST 3 /orders "$(order sell-3 sell 400.20 0.5)"
same '/book/BTC-USD'

say "a buyer takes the better price first, then the older order; the rest waits in the book"
told POST 2 /orders "$(order buy-1 buy 400.25 2.75)"
same '/book/BTC-USD?depth=5'
[ "$(call GET 3 /orders/sell-2 | field status remaining)" = 'open 1.25' ] || fail "sell-2 has another rest"
[ "$(call GET 1 /orders/sell-1 | field status)" = filled ] || fail "sell-1 is not filled"

say "the same order again is the same order; another one under its id is refused"
first=$(call POST 1 /orders "$(order buy-2 buy 399 1)")
[ "$(call POST 3 /orders "$(order buy-2 buy 399 1)")" = "$first" ] || fail "it is answered differently"
has_orders 3 5 || fail "it was entered twice"
refused=$(status POST 2 /orders "$(order buy-2 buy 398 1)")
echo "$refused"
[[ "$refused" = *IdInUse*' 409' ]] || fail "a used id was not refused"

say "cancelled once, answered twice"
told DELETE 2 /orders/buy-2
told DELETE 3 /orders/buy-2

say "a market order takes what there is"
told POST 3 /orders '{"id":"buy-3","symbol":"BTC-USD","side":"buy","type":"market","quantity":"5"}'
same /trades

say "wrong orders are refused"
# refuse STATUS BODY
refuse() {
  local answer
  answer=$(status POST 1 /orders "$2")
  echo "$answer"
  [[ "$answer" = *" $1" ]] || fail "$2 is not answered with $1"
}
refuse 400 'no JSON'
refuse 400 "$(order x buy 1e3 1)"
refuse 400 "$(order x buy 0.000000001 1)"
refuse 422 "$(order x buy 0 1)"
refuse 422 "$(order x sell 1 2000000000)"
refuse 422 '{"id":"x","symbol":"no symbol","side":"buy","type":"limit","price":"1","quantity":"1"}'
refuse 422 "$(order 'a b' buy 1 1)"

say "a snapshot; then kill -9 of the leader, and the others go on"
told POST 2 /orders "[$(order many-1 buy 10 1),$(order many-2 buy 10.5 1),$(order many-3 sell 10 0.5)]"
told POST 1 /snapshot
leader=$(call GET 3 /status | field leader_id)
kill -KILL "${pid[$leader]}"
wait "${pid[$leader]}" 2>/dev/null || true
survivor=3
[ "$leader" != 3 ] || survivor=1
await "another leader" has_leader_other_than "$survivor" "$leader"
told POST "$survivor" /orders "$(order late-1 sell 10.5 0.5)"
book=$(call GET "$survivor" /book/BTC-USD)

say "it comes back and catches up"
start "$leader"
await "node $leader answering" answers "$leader"
await "node $leader having all orders" has_orders "$leader" 10
[ "$(same /book/BTC-USD)" = "$book" ] || fail "the book changed"

say "SIGTERM ends all of them cleanly, and the book is there again after a restart"
for n in 1 2 3; do
  kill -TERM "${pid[$n]}"
  wait "${pid[$n]}" || fail "node $n ended with code $?"
  unset "pid[$n]"
done
for n in 1 2 3; do start "$n"; done
for n in 1 2 3; do await "node $n answering" answers "$n"; done
await "a leader" call GET 1 /book/BTC-USD
[ "$(same /book/BTC-USD)" = "$book" ] || fail "the book changed"
told POST 1 /orders "$(order late-1 sell 10.5 0.5)"
has_orders 1 10 || fail "an old order was entered again"
say "all as it should be"
