#!/usr/bin/env bash
# Installs the Debian packages that tests need and pip cannot bring: a browser for the status page, and the library of
# threads that LightGBM's wheel expects.
set -euo pipefail

missing=()
command -v chromium >/dev/null || missing+=(chromium)
fc-list 2>/dev/null | grep -q . || missing+=(fontconfig fonts-dejavu-core)
ldconfig -p 2>/dev/null | grep -q 'libgomp\.so\.1' || missing+=(libgomp1)
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing ${missing[*]} (apt-get)"
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    if ! { apt-get update -q && apt-get install -q -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        echo "apt-get could not install ${missing[*]}: tests that need them will fail." >&2
        exit 1
    fi
    rm -f "$log"
else
    echo "MISSING: ${missing[*]}. Tests need them and will fail without." >&2
    echo "Install them as root, for example: apt-get install --no-install-recommends ${missing[*]}" >&2
fi
