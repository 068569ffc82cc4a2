#!/bin/sh
# Regenerate raftify/wire/*_pb2* from protos/. The generator is old on purpose: code made by a
# newer one refuses every protobuf runtime older than itself, and warns on newer ones.
set -eu
cd "$(dirname "$0")/.."
venv=.venv-protos
if [ ! -x "$venv/bin/python" ]; then
  "${PYTHON:-python3}" -m venv "$venv"
  "$venv/bin/pip" install --quiet 'grpcio-tools==1.62.3' 'setuptools<80'
fi
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$venv/bin/python" -m grpc_tools.protoc -I protos \
  --python_out="$out" --pyi_out="$out" --grpc_python_out="$out" \
  protos/eraftpb.proto protos/raft_service.proto
rm -f "$out/eraftpb_pb2_grpc.py"
# protoc writes absolute imports; the stubs live inside a package.
for file in "$out"/*; do
  sed -i.bak \
    -e 's/^import eraftpb_pb2 as/from raftify.wire import eraftpb_pb2 as/' \
    -e 's/^import raft_service_pb2 as/from raftify.wire import raft_service_pb2 as/' "$file"
  rm -f "$file.bak"
done
cp "$out"/*_pb2* raftify/wire/
