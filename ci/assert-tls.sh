#!/usr/bin/env bash
# `ring` is the only TLS crypto in the lock file, and OpenSSL is not in it: two providers in one process make rustls panic,
# and OpenSSL would have to be installed on every user's machine.
set -euo pipefail
cd "$(dirname "$0")/.."
found=$(grep -E '^name = "(aws-lc-rs|aws-lc-sys|aws-lc-fips-sys|openssl|openssl-sys|native-tls|boring|boring-sys|mbedtls)"' Cargo.lock || true)
if [[ -n $found ]]; then
  printf 'the lock file holds another TLS backend than ring:\n%s\nfind who asks for it with: cargo tree -i NAME\n' "$found" >&2
  exit 1
fi
grep -q '^name = "ring"' Cargo.lock || { echo 'the lock file does not hold ring: what encrypts then?' >&2; exit 1; }
echo "ring is the only TLS crypto in the lock file"
