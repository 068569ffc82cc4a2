#!/usr/bin/env bash
# Plays a matching engine with curl: three nodes, orders through all of them, trades, an order sent
# twice, a killed leader, its return, a restart from snapshot and log.
source "$(dirname "$0")/../testing.sh"

# start NODE [OPTION...]
start() {
  run "$1" examples.matchengine --raft-addr "${raft[$1]}" --http-addr "${http[$1]}" \
    --log-dir "$work/node-$1" "${@:2}"
}
leader_of() { call GET "$1" /status | field leader_id; }
# order ID SIDE PRICE QUANTITY: prints a limit order of BTC-USD
order() {
  printf '{"id":"%s","symbol":"BTC-USD","side":"%s","type":"limit","price":"%s","quantity":"%s"}' "$@"
}

answers() { call GET "$1" /status; }
# has_orders NODE COUNT: asked after a read that brings the node up to date
has_orders() { call GET "$1" /symbols >/dev/null && [ "$(call GET "$1" /status | field orders)" = "$2" ]; }
# same PATH: all nodes answer alike
same() {
  local one
  one=$(call GET 1 "$1")
  for n in 2 3; do [ "$(call GET "$n" "$1")" = "$one" ] || fail "node $n tells another $1"; done
  printf '%s\n' "$one"
}

# follow NODE NUMBER: writes all trades from that one on to a file, as they come
follow() {
  curl --silent --no-buffer "http://${http[$1]}/trades/stream?from=$2" >>"$work/trades.txt" &
  follower=$!
}
# followed: prints the numbers of the trades that came, in one line
followed() { grep -o '{"number":[0-9]*,[^{}]*}' "$work/trades.txt" | grep -o '^{"number":[0-9]*' | cut -d: -f2 | xargs; }
has_followed_to() { [ "$(followed | awk '{print $NF}')" = "$1" ]; }

say "node 1 founds a cluster, nodes 2 and 3 join it"
grow
told GET 3 /status

say "somebody follows the trades at the leader"
leader=$(leader_of 3)
follow "$leader" 1

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
refuse 409 POST 2 /orders "$(order buy-2 buy 398 1)"

say "cancelled once, answered twice"
told DELETE 2 /orders/buy-2
told DELETE 3 /orders/buy-2

say "a market order takes what there is"
told POST 3 /orders '{"id":"buy-3","symbol":"BTC-USD","side":"buy","type":"market","quantity":"5"}'
same /trades

say "wrong orders are refused"
refuse 400 POST 1 /orders 'no JSON'
refuse 400 POST 1 /orders "$(order x buy 1e3 1)"
refuse 400 POST 1 /orders "$(order x buy 0.000000001 1)"
refuse 422 POST 1 /orders "$(order x buy 0 1)"
refuse 422 POST 1 /orders "$(order x sell 1 2000000000)"
refuse 422 POST 1 /orders '{"id":"x","symbol":"no symbol","side":"buy","type":"limit","price":"1","quantity":"1"}'
refuse 422 POST 1 /orders "$(order 'a b' buy 1 1)"

say "a snapshot; then kill -9 of the leader, and the others go on"
told POST 2 /orders "[$(order many-1 buy 10 1),$(order many-2 buy 10.5 1),$(order many-3 sell 10 0.5)]"
told POST 1 /snapshot
kill_leader
wait "$follower" || true
last=$(followed | awk '{print $NF}')
echo "the trades that came so far: $(followed)"
follow "$survivor" "$((last + 1))"
told POST "$survivor" /orders "$(order late-1 sell 10.5 0.5)"
book=$(call GET "$survivor" /book/BTC-USD)

say "it comes back and catches up"
start "$leader"
await "node $leader answering" answers "$leader"
await "node $leader having all orders" has_orders "$leader" 10
[ "$(same /book/BTC-USD)" = "$book" ] || fail "the book changed"

say "who follows the trades elsewhere now got each of them once, in order"
last=$(call GET 1 /trades | field last)
await "trade $last at who follows" has_followed_to "$last"
followed
[ "$(followed)" = "$(seq -s ' ' 1 "$last")" ] || fail "a trade is missing, or came twice"

say "SIGTERM ends all of them cleanly, and the book is there again after a restart"
stop_all
wait "$follower" || fail "the stream of trades was broken off"
tail -n 1 "$work/trades.txt"
[[ "$(tail -n 1 "$work/trades.txt")" = *'"end":"Stopping"'* ]] || fail "the stream has no last line"
for n in 1 2 3; do start "$n"; done
for n in 1 2 3; do await "node $n answering" answers "$n"; done
await "a leader" call GET 1 /book/BTC-USD
[ "$(same /book/BTC-USD)" = "$book" ] || fail "the book changed"
told POST 1 /orders "$(order late-1 sell 10.5 0.5)"
has_orders 1 10 || fail "an old order was entered again"
say "all as it should be"
