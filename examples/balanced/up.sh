#!/bin/bash
# Sets up in the new directory $1 what the plan finds on a real machine: an nginx with two servers, web1 and
# web2, which serve the shop in version 2.3.0, and an HAProxy before them, all on free ports of the loopback
# interface. `down.sh $1` ends them. $1/settings holds the settings for the plan, one a line.
set -euo pipefail
root=$(realpath -m "${1:?usage: up.sh DIRECTORY}")
cd "$(dirname "$0")"
. ../loopback.sh
need nginx nginx
need haproxy haproxy

mkdir "$root"
trap '[ $? = 0 ] || ./down.sh "$root"' EXIT
chmod 755 "$root"
nginx_in "$root/nginx"
for name in web1 web2; do
    mkdir -p "$root/shop/$name/releases/2.3.0"
    echo "shop 2.3.0" >"$root/shop/$name/releases/2.3.0/index.html"
    echo ok >"$root/shop/$name/releases/2.3.0/health"
    ln -s releases/2.3.0 "$root/shop/$name/current"
done
start_nginx() {
    web1=$port
    web2=$(free_port)
    for name in web1 web2; do
        echo "server { listen 127.0.0.1:${!name}; root $root/shop/$name/current; }"
    done >"$root/nginx/conf.d/shop.conf"
    nginx -c "$root/nginx/nginx.conf" -e "$root/nginx/error.log"
}
start_on_free_port start_nginx
wait_for "$root/nginx/nginx.pid"

mkdir "$root/haproxy"
start_haproxy() {
    cat >"$root/haproxy/haproxy.cfg" <<HAPROXY
global
    stats socket $root/haproxy/admin.sock mode 600 level admin
defaults
    mode http
    timeout connect 2s
    timeout client 10s
    timeout server 10s
frontend shop
    bind 127.0.0.1:$port
    default_backend shop
backend shop
    balance roundrobin
    option httpchk GET /health
    default-server check inter 100ms rise 1 fall 1
    server web1 127.0.0.1:$web1
    server web2 127.0.0.1:$web2
HAPROXY
    haproxy -W -D -p "$root/haproxy/haproxy.pid" -f "$root/haproxy/haproxy.cfg"
}
start_on_free_port start_haproxy
wait_for "$root/haproxy/haproxy.pid"
cat >"$root/settings" <<SETTINGS
root=$root/shop
socket=$root/haproxy/admin.sock
port=$port
web1=$web1
web2=$web2
SETTINGS
echo "the shop 2.3.0 is at http://127.0.0.1:$port/"
