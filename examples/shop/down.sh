#!/bin/bash
# Ends the nginx and the PostgreSQL that `up.sh $1` has started, and removes the directory.
set -euo pipefail
root=$(realpath "${1:?usage: down.sh DIRECTORY}")
export PATH=$PATH:/usr/sbin:/sbin
if [ -s "$root/nginx/run/nginx.pid" ]; then
    nginx -p "$root/nginx" -c conf/nginx.conf -e stderr -s stop
fi
if [ -s "$root/database/data/postmaster.pid" ]; then
    postgres=$(dirname "$(find /usr/lib/postgresql -path '*/bin/initdb' | sort -V | tail -n 1)")
    stop=("$postgres/pg_ctl" -D "$root/database/data" -m immediate -w -s stop)
    if [ "$(id -u)" = 0 ]; then stop=(runuser -u postgres -- "${stop[@]}"); fi
    "${stop[@]}"
fi
# nginx goes when it has gone: its process id file is the last thing it removes.
deadline=$((SECONDS + 30))
while [ -e "$root/nginx/run/nginx.pid" ]; do
    [ $SECONDS -lt $deadline ] || { echo "down.sh: nginx still runs" >&2; exit 1; }
    sleep 0.02
done
rm -rf "$root"
