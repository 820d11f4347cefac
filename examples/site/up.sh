#!/bin/bash
# Sets up in the new directory $1 what the plan finds on a real machine: an nginx on a free port of the
# loopback interface, which serves the site in version 2.3.0. `down.sh $1` ends it. $1/settings holds the
# settings for the plan, one a line.
set -euo pipefail
root=$(realpath -m "${1:?usage: up.sh DIRECTORY}")
cd "$(dirname "$0")"
. ../loopback.sh
need nginx nginx

mkdir "$root"
trap '[ $? = 0 ] || ./down.sh "$root"' EXIT
chmod 755 "$root"
site=$root/site
mkdir -p "$site/releases/2.3.0/public" "$site/shared/uploads"
echo '<svg xmlns="http://www.w3.org/2000/svg"/>' >"$site/shared/uploads/logo.svg"
sed 's/with a price list/in green/; s/2\.4\.0/2.3.0/' dist/2.4.0/public/index.html >"$site/releases/2.3.0/public/index.html"
ln -s ../../shared/uploads "$site/releases/2.3.0/uploads"
ln -s releases/2.3.0 "$site/current"
nginx_in "$root/nginx"
start_nginx() {
    sed -e "s|{{ port }}|$port|" -e "s|{{ root }}|$site|" -e '/prices {/,/}/d' dist/site.conf.in \
        >"$root/nginx/conf.d/site.conf"
    nginx -c "$root/nginx/nginx.conf" -e "$root/nginx/error.log"
}
start_on_free_port start_nginx
wait_for "$root/nginx/nginx.pid"
cat >"$root/settings" <<SETTINGS
root=$site
port=$port
conf=$root/nginx/conf.d/site.conf
nginx=$root/nginx/nginx.conf
pid=$root/nginx/nginx.pid
SETTINGS
echo "the site 2.3.0 is at http://127.0.0.1:$port/"
