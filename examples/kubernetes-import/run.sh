#!/usr/bin/env bash
# Imports the network policies of a cluster, shows what became of one of them,
# and what is refused. Needs neither a cluster nor root, and leaves nothing.
set -euo pipefail

example=import
. "$(dirname "$0")/../lib.sh"
cd "$here"

say "1. Import the manifests: the result is policy.toml"
"$bin/policyc" import kubernetes manifests -o "$work/policy.toml"
diff policy.toml "$work/policy.toml"

say "2. What became of NetworkPolicy shop/db-takes-web"
grep -A 4 '^name = "shop/db-takes-web' "$work/policy.toml"

say "3. It is a policy like others: it can be checked, and asked"
"$bin/policyc" check "$work/policy.toml"
ask() { # WANTED EXIT CODE, then who to whom on what
	code=0
	"$bin/policyc" query "$work/policy.toml" --from "$2" --to "$3" --port "$4" || code=$?
	[ "$code" -eq "$1" ] || { say "WRONG: exit code $code, not $1"; exit 1; }
}
ask 0 pod:shop/web pod:shop/db tcp/5432
ask 1 pod:monitoring/shell pod:shop/db tcp/5432
ask 0 host pod:shop/db tcp/5432

say "4. What cannot be said is refused"
code=0
"$bin/policyc" import kubernetes manifests refused -o "$work/none.toml" || code=$?
if [ "$code" -ne 1 ] || [ -e "$work/none.toml" ]; then
	say "WRONG: exit code $code; it should be 1, and nothing written"
	exit 1
fi
say "The import is what it should be."
