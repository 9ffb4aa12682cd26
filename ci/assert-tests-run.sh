#!/usr/bin/env bash
# Cargo passes silently over a test in a target whose manifest says that it has none. Whoever writes the first test of such
# a target is told here to let it run.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0
refuse() { printf '%s is never run: take `%s` out of the [%s] of %s\n' "$@" >&2; failed=1; }

# The setting of one table of a manifest, as in: says lib doctest FILE
says() { sed -n "/^\[*$1\]*\$/,/^\$/p" "$3" | grep -q "^$2 = false"; }

while read -r manifest; do
  sources=$(dirname "$manifest")/src
  if says bin test "$manifest" && grep -nE 'cfg\(test\)|#\[(tokio::)?test' "$sources/main.rs"; then
    refuse "a test in $sources/main.rs" 'test = false' '[bin]' "$manifest"
  fi
  if says lib test "$manifest" && grep -rnE 'cfg\(test\)|#\[(tokio::)?test' "$sources"; then
    refuse "a test in $sources" 'test = false' lib "$manifest"
  fi
  # A block of code opens with no language or with one of rustdoc's own words; every other block is closed by three ticks.
  if says lib doctest "$manifest"; then
    opened=$(find "$sources" -name '*.rs' -exec awk 'FNR == 1 { inside = 0 }
      /^ *\/\/[\/!] *```/ {
        if (!inside && $0 ~ /``` *(rust|should_panic|no_run|ignore|compile_fail|edition[0-9]+)?[, a-z_0-9]*$/ && $0 !~ /```(gherkin|toml|json|text|sql|sh)$/)
          print FILENAME ":" FNR
        inside = !inside
      }' {} +)
    if [[ -n $opened ]]; then
      echo "$opened"
      refuse "an example in $sources" 'doctest = false' lib "$manifest"
    fi
  fi
done < <(git ls-files '*/Cargo.toml')
((failed == 0)) || exit 1
echo "no test is in a target that is not tested"
