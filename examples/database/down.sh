#!/bin/bash
# Ends the PostgreSQL that `up.sh $1` has started, and removes the directory.
set -euo pipefail
root=$(realpath "${1:?usage: down.sh DIRECTORY}")
cd "$(dirname "$0")"
. ../loopback.sh
if [ -s "$root/database/data/postmaster.pid" ]; then
    postgres=$(dirname "$(find /usr/lib/postgresql -path '*/bin/initdb' | sort -V | tail -n 1)")
    stop=("$postgres/pg_ctl" -D "$root/database/data" -m immediate -w -s stop)
    if [ "$(id -u)" = 0 ]; then stop=(runuser -u postgres -- "${stop[@]}"); fi
    "${stop[@]}"
fi
rm -rf "$root"
