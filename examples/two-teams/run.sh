#!/usr/bin/env bash
# Two teams and a platform write one policy, and none can open what is another's.
# Needs no root, and leaves nothing.
set -euo pipefail

example=teams
. "$(dirname "$0")/../lib.sh"
cd "$here"

# expect CODE COMMAND...: runs a command that must end with CODE.
expect() {
	local want=$1 code=0
	shift
	printf '$ %s\n' "${*//$work\//}"
	"$bin/$1" "${@:2}" || code=$?
	[ "$code" -eq "$want" ] || { say "WRONG: exit code $code instead of $want"; exit 1; }
}

say "1. Three folders are one policy; its tests pass, and no rule is without one"
expect 0 policyc check platform shop pay
expect 0 policyc test platform shop pay --min-coverage 100

say "2. Who reaches the vault, on what, and by which rule"
expect 0 policyc query platform shop pay --to pay/vault

say "3. A payment crosses two teams: one lets it leave, the other lets it arrive"
expect 0 policyc explain platform shop pay --from shop/web --to pay/api --port tcp/8443

say "4. Team shop would like more. What it may give itself, and what not"
mkdir "$work/old" "$work/new"
cp platform/*.toml shop/*.toml pay/*.toml "$work/old"
cp platform/*.toml change/*.toml pay/*.toml "$work/new"
expect 1 policyc diff "$work/old" "$work/new" -o markdown
expect 1 policyc query "$work/new" --from shop/web --to pay/vault --port tcp/8200

say "5. Nor can it pass for the platform"
expect 1 policyc check platform pay refused

say "6. The map, as a picture and as a page"
"$bin/policyc" export svg platform shop pay > "$work/map.svg"
"$bin/policyc" export html platform shop pay > "$work/map.html"
ls "$work" | grep map

say "7. One table for the switches, signed"
(cd "$work" && "$bin/policyc" keygen policy-key)
expect 0 policyc build platform shop pay -o "$work/policy.bhp" --generation 1
expect 0 policyc sign "$work/policy.bhp" --key "$work/policy-key"
expect 0 policyc verify "$work/policy.bhp" --key "$work/policy-key.pub"

say "Each team has said its own, and no more."
