#!/usr/bin/env bash
# Benchmarks of this tree beside those of another revision: both are built
# first, then run in turn, old, new, old, new, so that a machine that changes
# its speed changes both.
#
#   bench/compare.sh BASE [PACKAGE [REGEXP]]      ROUNDS=6 TIME=100ms
set -euo pipefail

base=${1:?usage: bench/compare.sh BASE [PACKAGE [REGEXP]]}
package=${2:-./dataplane/...}
regexp=${3:-.}
cd "$(dirname "$0")/.."

work=$(mktemp -d /tmp/bulkhead-compare.XXXXXX)
cleanup() {
	git worktree remove --force "$work/old" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
git worktree add --quiet --detach "$work/old" "$base"

# build TREE OUT: a test binary for each package that has benchmarks.
build() {
	(cd "$1" && go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}} {{.ImportPath}}{{end}}' "$package") |
		while read -r dir path; do
			grep -qs '^func Benchmark' "$dir"/*_test.go || continue
			(cd "$dir" && go test -c -o "$2/${path//\//_}" .)
			echo "$dir" >"$2/${path//\//_}.dir"
		done
}
mkdir "$work/bin-old" "$work/bin-new"
build "$work/old" "$work/bin-old"
build "$PWD" "$work/bin-new"

for round in $(seq "${ROUNDS:-6}"); do
	for side in old new; do
		[ -t 2 ] && printf '\rround %d of %d: %s ' "$round" "${ROUNDS:-6}" "$side" >&2
		for dir in "$work/bin-$side"/*.dir; do
			[ -e "$dir" ] || continue
			(cd "$(cat "$dir")" && "${dir%.dir}" -test.run '^$' -test.bench "$regexp" -test.benchmem -test.benchtime "${TIME:-100ms}") >>"$work/$side.txt"
		done
	done
done
[ -t 2 ] && printf '\r%40s\r' '' >&2
grep -qs "^Benchmark" "$work/old.txt" || { echo "compare: $base has no benchmark that matches $regexp in $package" >&2; exit 1; }
go tool benchstat "old=$work/old.txt" "new=$work/new.txt"
