# What the examples' test-cluster.sh share; they source it. A script says how a node is started
# (`start NODE`) and who leads (`leader_of NODE`); here are three nodes' addresses and processes, and
# words to ask them with. Ports are whatever the kernel has free; everything lives in a temporary
# directory and ends with the script. PYTHON names the interpreter (default: the checkout's .venv,
# or python3).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

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

read -r -a ports < <("$PYTHON" -c '
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(6)]
print(*(s.getsockname()[1] for s in held))')
for n in 1 2 3; do
  raft[$n]=127.0.0.1:${ports[$((n - 1))]}
  http[$n]=127.0.0.1:${ports[$((n + 2))]}
done

# run NODE MODULE [OPTION...]: runs a Python module as that node
run() {
  local n=$1
  shift
  "$PYTHON" -m "$@" >>"$work/node-$n.txt" 2>&1 &
  pid[$n]=$!
}

# call METHOD NODE PATH [BODY]: prints the answer; fails on any status from 400 on
call() {
  curl --silent --show-error --fail-with-body --max-time 40 --request "$1" ${4+--data-binary "$4"} \
    "http://${http[$2]}$3"
}
# told METHOD NODE PATH [BODY]: the same, with what was asked in front
told() { printf '%s\n  ' "node $2: $1 $3 ${4-}"; call "$@" || fail "node $2 refused $1 $3"; echo; }
# status METHOD NODE PATH [BODY]: prints the answer and its status, whatever that is
status() {
  curl --silent --max-time 40 --request "$1" ${4+--data-binary "$4"} --write-out ' %{http_code}' \
    "http://${http[$2]}$3"
}
# refuse STATUS METHOD NODE PATH [BODY]: demands that status
refuse() {
  local wanted=$1 answer
  shift
  answer=$(status "$@")
  printf '%s\n  %s\n' "node $2: $1 $3 ${4-}" "$answer"
  [[ "$answer" = *" $wanted" ]] || fail "$1 $3 ${4-} is not answered with $wanted"
}

# field NAME...: prints these fields of the JSON object on standard input
field() {
  "$PYTHON" -c 'import json, sys; o = json.load(sys.stdin); print(*(o[k] for k in sys.argv[1:]))' "$@"
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

# grow: lets node 1 found a cluster, and nodes 2 and 3 join it; a script says whether one `answers`
grow() {
  local n
  start 1
  await "node 1 answering" answers 1
  for n in 2 3; do
    start "$n" --peer-addr "${raft[1]}"
    await "node $n answering" answers "$n"
  done
}

# has_leader_other_than NODE ID: that node knows a leader, and it is not ID
has_leader_other_than() {
  local id
  id=$(leader_of "$1") && [ "$id" != 0 ] && [ "$id" != "$2" ]
}

# kill_leader: ends the leader as by kill -9; sets `leader` to its id and `survivor` to another's,
# which knows the next leader by then
kill_leader() {
  leader=$(leader_of 3)
  { kill -KILL "${pid[$leader]}" && wait "${pid[$leader]}" || true; } 2>/dev/null
  survivor=3
  [ "$leader" != 3 ] || survivor=1
  await "another leader" has_leader_other_than "$survivor" "$leader"
}

# stop_all: ends all nodes by SIGTERM, which must do so cleanly
stop_all() {
  for n in "${!pid[@]}"; do
    kill -TERM "${pid[$n]}"
    wait "${pid[$n]}" || fail "node $n ended with code $?"
    unset "pid[$n]"
  done
}
