#!/usr/bin/env bash
# Installs the Debian packages that tests need and pip cannot bring: a browser for the status page.
set -euo pipefail

missing=()
command -v chromium >/dev/null || missing+=(chromium)
fc-list 2>/dev/null | grep -q . || missing+=(fontconfig fonts-dejavu-core)
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing ${missing[*]} (apt-get)"
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    if ! { apt-get update -q && apt-get install -q -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        echo "apt-get could not install ${missing[*]}: the tests of the status page will fail." >&2
        exit 1
    fi
    rm -f "$log"
else
    echo "MISSING: ${missing[*]}. The tests of the status page need them and will fail without." >&2
    echo "Install them as root, for example: apt-get install --no-install-recommends ${missing[*]}" >&2
fi
