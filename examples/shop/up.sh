#!/bin/bash
# Sets up in the new directory $1 what the plan finds on a real machine: nginx serving shop 2.3.0, and
# PostgreSQL with its schema, both on free ports of the loopback interface. `down.sh $1` ends them.
# The ports are in $1/ports, as lines of shell.
#
# Needs nginx and PostgreSQL (apt-get install nginx postgresql); their services need not run.
set -euo pipefail
root=$(realpath -m "${1:?usage: up.sh DIRECTORY}")
cd "$(dirname "$0")"
export PATH=$PATH:/usr/sbin:/sbin

missing() {
    echo "up.sh: $1 is not installed; on Debian: apt-get install nginx postgresql" >&2
    exit 1
}
type nginx >/dev/null 2>&1 || missing nginx
type psql >/dev/null 2>&1 || missing PostgreSQL
postgres=$(find /usr/lib/postgresql -path '*/bin/initdb' 2>/dev/null | sort -V | tail -n 1)
[ -n "$postgres" ] || missing PostgreSQL
postgres=$(dirname "$postgres")

# PostgreSQL refuses to run as root.
as_postgres() {
    if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

free_port() {
    perl -MIO::Socket::INET -e \
        'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1", LocalPort => 0)->sockport'
}

# Ports are free when they are looked for and may be taken a moment later: several tries.
start_on_free_port() {
    local try
    for try in 1 2 3 4 5; do
        port=$(free_port)
        if "$@" >"$root/start.log" 2>&1; then return; fi
    done
    cat "$root/start.log" >&2
    echo "up.sh: $1 failed $try times" >&2
    exit 1
}

mkdir "$root"
trap '[ $? = 0 ] || ./down.sh "$root"' EXIT
chmod 755 "$root"
mkdir "$root/database"

# PostgreSQL.
(umask 077 && head -c 18 /dev/urandom | base64 >"$root/db-password")
export PGPASSWORD PGHOST=127.0.0.1 PGUSER=postgres PGDATABASE=postgres
PGPASSWORD=$(cat "$root/db-password")
(umask 077 && cp "$root/db-password" "$root/database/password")
if [ "$(id -u)" = 0 ]; then chown -R postgres: "$root/database"; fi
as_postgres "$postgres/initdb" --no-sync --username=postgres --auth=scram-sha-256 --encoding=UTF8 \
    --locale=C --pwfile="$root/database/password" -D "$root/database/data" >"$root/initdb.log" 2>&1 ||
    { cat "$root/initdb.log" >&2; exit 1; }
start_database() {
    # Returns when connections are accepted. Nothing here must outlive a crash of the machine: no fsync.
    as_postgres "$postgres/pg_ctl" -D "$root/database/data" -l "$root/database/log" -w start -o \
        "-h 127.0.0.1 -p $port -c unix_socket_directories= -c fsync=off -c max_connections=20"
}
start_on_free_port start_database
db_port=$port
sql() {
    PGPORT=$db_port psql -X -q -v ON_ERROR_STOP=1 "$@"
}
sql -v password="$PGPASSWORD" <<'SQL'
create role shop login password :'password';
create database shop owner shop;
SQL
PGDATABASE=shop PGUSER=shop sql --single-transaction \
    -c 'create table schema_migrations (name text primary key, applied_at timestamptz not null default now())' \
    -f migrations/0001-shop.up.sql -c "insert into schema_migrations (name) values ('0001-shop')"

# nginx, with shop 2.3.0.
mkdir -p "$root/www/releases" "$root/nginx/conf/conf.d" "$root/nginx/logs" "$root/nginx/run" "$root/nginx/tmp"
cp -rT dist/2.3.0/public "$root/www/releases/2.3.0"
ln -s releases/2.3.0 "$root/www/current"
cat >"$root/nginx/conf/nginx.conf" <<'NGINX'
worker_processes 1;
pid run/nginx.pid;
error_log logs/error.log;
events {
    worker_connections 64;
}
http {
    types {
        text/html html;
        text/css css;
    }
    access_log logs/access.log;
    client_body_temp_path tmp/body;
    proxy_temp_path tmp/proxy;
    fastcgi_temp_path tmp/fastcgi;
    uwsgi_temp_path tmp/uwsgi;
    scgi_temp_path tmp/scgi;
    include conf.d/*.conf;
}
NGINX
start_nginx() {
    sed -e "s|@PORT@|$port|" -e "s|@WWW@|$root/www|" dist/2.3.0/shop.conf >"$root/nginx/conf/conf.d/shop.conf"
    nginx -p "$root/nginx" -c conf/nginx.conf -e logs/error.log
}
start_on_free_port start_nginx
# It listens now, but its process id may be written a moment later.
deadline=$((SECONDS + 30))
until [ -s "$root/nginx/run/nginx.pid" ]; do
    if [ $SECONDS -ge $deadline ]; then
        echo "up.sh: nginx wrote no process id in 30 seconds" >&2
        exit 1
    fi
    sleep 0.02
done

printf 'port=%s\ndb_port=%s\n' "$port" "$db_port" >"$root/ports"
echo "shop 2.3.0 is at http://127.0.0.1:$port/, its database at 127.0.0.1:$db_port"
