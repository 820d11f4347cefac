#!/bin/bash
# Shows a release from beginning to end: sets up nginx and PostgreSQL on loopback (installing them
# first where they are missing: Debian, as root or with sudo), builds deployrun, releases shop 2.4.0
# with its migrations, and then 2.4.1, whose front page is broken. Everything lies in one temporary
# directory and is removed at the end.
#
# DEPLOYRUN=PATH takes a deployrun that is built already.
set -euo pipefail
cd "$(dirname "$0")"
export PATH=$PATH:/usr/sbin:/sbin

say() {
    printf '\n\033[1m== %s\033[0m\n' "$*"
}

if ! type nginx >/dev/null 2>&1 || [ -z "$(find /usr/lib/postgresql -name initdb 2>/dev/null)" ] ||
    ! type curl >/dev/null 2>&1; then
    say "Install nginx and PostgreSQL"
    sudo=$([ "$(id -u)" = 0 ] || echo sudo)
    $sudo apt-get update -q
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends nginx postgresql curl
fi

if [ -z "${DEPLOYRUN:-}" ]; then
    say "Build deployrun"
    cargo build --manifest-path ../../Cargo.toml
    deployrun() { cargo run --quiet --manifest-path ../../Cargo.toml --bin deployrun -- "$@"; }
else
    deployrun() { "$DEPLOYRUN" "$@"; }
fi

here=$(mktemp -d)
chmod 755 "$here"
machine=$here/machine
trap './down.sh "$machine"; rm -rf "$here"' EXIT
export DEPLOYRUN_STATE=$here/state

say "Set up the machine"
./up.sh "$machine"
. "$machine/ports"

site() {
    say "The site and its database now"
    curl -sS "http://127.0.0.1:$port/" | sed -n 's/.*<footer>\(.*\)<\/footer>.*/front page: \1/p'
    curl -sS "http://127.0.0.1:$port/checkout" | sed -n 's/.*<h1>\(.*\)<\/h1>.*/\/checkout:  \1/p'
    printf 'migrations: '
    PGPASSWORD=$(cat "$machine/db-password") psql -X -h 127.0.0.1 -p "$db_port" -U shop -d shop -At \
        -c "select string_agg(name, ', ' order by name) from schema_migrations"
}

# release VERSION STATUS: releases, and expects this exit status.
release() {
    local status=0
    say "Release $1: deployrun plan.rhai -e version=$1"
    deployrun plan.rhai -e root="$machine" -e port="$port" -e db_port="$db_port" -e version="$1" -e soak=2s \
        --override-window "a demonstration" || status=$?
    say "Exit status $status"
    [ $status = "$2" ]
}

site
release 2.4.0 0
site
release 2.4.1 3
site
say "2.4.0 was released; 2.4.1 would have broken the front page and was backed out"
