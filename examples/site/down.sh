#!/bin/bash
# Ends the nginx that `up.sh $1` has started, and removes the directory.
set -euo pipefail
root=$(realpath "${1:?usage: down.sh DIRECTORY}")
cd "$(dirname "$0")"
. ../loopback.sh
end "$root/nginx/nginx.pid"
rm -rf "$root"
