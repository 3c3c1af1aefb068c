#!/usr/bin/env bash
# Imports the network policies of a cluster, shows what became of one of them,
# and what is refused. Needs neither a cluster nor root, and leaves nothing.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
bin=${BIN:-$here/../../bin}
work=$(mktemp -d /tmp/bulkhead-import.XXXXXX)
trap 'rm -rf "$work"' EXIT
cd "$here"

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

say "1. Import the manifests: the result is policy.toml"
"$bin/policyc" import kubernetes manifests -o "$work/policy.toml"
diff policy.toml "$work/policy.toml"

say "2. What became of NetworkPolicy shop/db-takes-web"
grep -A 4 '^name = "shop/db-takes-web' "$work/policy.toml"

say "3. What cannot be said is refused"
code=0
"$bin/policyc" import kubernetes manifests refused -o "$work/none.toml" || code=$?
if [ "$code" -ne 1 ] || [ -e "$work/none.toml" ]; then
	say "WRONG: exit code $code; it should be 1, and nothing written"
	exit 1
fi
say "The import is what it should be."
