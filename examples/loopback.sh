# What the set-up scripts of the examples share: free ports of the loopback interface. To be sourced.
export PATH=$PATH:/usr/sbin:/sbin

# need PROGRAM PACKAGE: ends the script when the program is not there.
need() {
    type "$1" >/dev/null 2>&1 || {
        echo "$0: $1 is not installed; on Debian: apt-get install $2" >&2
        exit 1
    }
}

free_port() {
    perl -MIO::Socket::INET -e \
        'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1", LocalPort => 0)->sockport'
}

# Runs a command that starts a server on $port. Ports are free when they are looked for and may be taken a
# moment later: several tries.
start_on_free_port() {
    local try said
    said=$(mktemp)
    for try in 1 2 3 4 5; do
        port=$(free_port)
        if "$@" >/dev/null 2>"$said"; then
            rm "$said"
            return
        fi
    done
    echo "$0: $1 failed $try times: $(cat "$said")" >&2
    rm "$said"
    exit 1
}

# wait_for FILE: until it is there and not empty.
wait_for() {
    local deadline=$((SECONDS + 30))
    until [ -s "$1" ]; do
        [ $SECONDS -lt $deadline ] || { echo "$0: no $1 in 30 seconds" >&2; exit 1; }
        sleep 0.02
    done
}

# nginx_in DIRECTORY: an nginx of its own, that reads conf.d/*.conf in there.
nginx_in() {
    mkdir -p "$1/conf.d" "$1/tmp"
    cat >"$1/nginx.conf" <<NGINX
worker_processes 1;
pid $1/nginx.pid;
error_log $1/error.log;
events {
    worker_connections 64;
}
http {
    types {
        text/html html;
        text/css css;
    }
    access_log $1/access.log;
    client_body_temp_path $1/tmp/body;
    proxy_temp_path $1/tmp/proxy;
    fastcgi_temp_path $1/tmp/fastcgi;
    uwsgi_temp_path $1/tmp/uwsgi;
    scgi_temp_path $1/tmp/scgi;
    include $1/conf.d/*.conf;
}
NGINX
}

# end PIDFILE: ends the server whose number is in there, and waits until it has gone.
end() {
    local pid deadline=$((SECONDS + 30))
    [ -s "$1" ] || return 0
    pid=$(cat "$1")
    kill "$pid" 2>/dev/null || return 0
    while kill -0 "$pid" 2>/dev/null; do
        [ $SECONDS -lt $deadline ] || { echo "$0: process $pid still runs" >&2; exit 1; }
        sleep 0.02
    done
}
