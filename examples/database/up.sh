#!/bin/bash
# Sets up in the new directory $1 what the plan finds on a real machine: PostgreSQL on a free port of the
# loopback interface, with the database `shop` as it was before. `down.sh $1` ends it. $1/settings holds
# the settings for the plan, one a line.
set -euo pipefail
root=$(realpath -m "${1:?usage: up.sh DIRECTORY}")
cd "$(dirname "$0")"
. ../loopback.sh
need psql postgresql
postgres=$(find /usr/lib/postgresql -path '*/bin/initdb' 2>/dev/null | sort -V | tail -n 1)
need "${postgres:-initdb}" postgresql
postgres=$(dirname "$postgres")

# PostgreSQL refuses to run as root.
as_postgres() {
    if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

mkdir "$root"
trap '[ $? = 0 ] || ./down.sh "$root"' EXIT
chmod 755 "$root"
mkdir "$root/database" "$root/backups"
(umask 077 && head -c 18 /dev/urandom | base64 >"$root/password" && cp "$root/password" "$root/database/password")
if [ "$(id -u)" = 0 ]; then chown -R postgres: "$root/database"; fi
as_postgres "$postgres/initdb" --no-sync --username=postgres --auth=scram-sha-256 --encoding=UTF8 --locale=C \
    --pwfile="$root/database/password" -D "$root/database/data" >/dev/null
start_database() {
    # Returns when connections are accepted. Nothing here must outlive a crash of the machine: no fsync.
    as_postgres "$postgres/pg_ctl" -D "$root/database/data" -l "$root/database/log" -w start -o \
        "-h 127.0.0.1 -p $port -c unix_socket_directories= -c fsync=off -c max_connections=20"
}
start_on_free_port start_database

export PGHOST=127.0.0.1 PGPORT=$port PGPASSWORD
PGPASSWORD=$(cat "$root/password")
psql -XqU postgres -d postgres -v ON_ERROR_STOP=1 -v password="$PGPASSWORD" <<'SQL'
create role shop login password :'password';
create database shop owner shop;
SQL
psql -XqU shop -d shop -v ON_ERROR_STOP=1 <<'SQL'
create table customers (
    id bigint generated always as identity primary key,
    name text not null,
    address text not null
);
insert into customers (name, address) values
    ('Ada', E'Invalidenstr. 1\nBerlin'), ('Emmy', E'Hauptmarkt 5\nErlangen');
SQL
cat >"$root/settings" <<SETTINGS
host=127.0.0.1
port=$port
password_file=$root/password
backups=$root/backups
SETTINGS
echo "the database shop is at 127.0.0.1:$port"
