#!/usr/bin/env bash
# all.sh D [J [REST]]: fuzzes every target of every package for a time D (20s, 1m), J
# at a time (2), each on one CPU. With REST, that is for how long those are fuzzed that
# no frame reaches: files, sources, requests. It prints what a target says that fails,
# and ends with 1 if one did. Go keeps the inputs that fail in testdata/fuzz beside the
# target.
set -uo pipefail
D=${1:-20s} J=${2:-2} REST=${3:-$D} GO=${GO:-go}
frames='Parse|Padding|VLAN|Identify|Membership|Decap|EncapDecap|Fragments|TCP|ICMPError|NAT|FDB|Classify|Pipeline|Edge|Reload|Rings|Decode|Superframe'
cd "$(dirname "$0")/.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

targets() {
	find . -name '*_test.go' | xargs grep -l '^func Fuzz' | xargs -n1 dirname | sort -u | while read -r dir; do
		grep -ho '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go | sed "s|^func |$dir |"
	done
}

one() {
	local log="$out/$2" time=$REST rc
	[[ $2 =~ ^Fuzz($frames)$ ]] && time=$D
	run() { "$GO" test "$1" -run '^$' -fuzz "^$2\$" -fuzztime "$time" -parallel 1 -fuzzminimizetime 10x >"$log" 2>&1; }
	run "$@"
	rc=$?
	# When the time is over Go before 1.27 may take its own deadline for a failure, which
	# no input belongs to (golang/go issue 75804): then the target is run once more.
	if [ $rc != 0 ] && grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input' "$log"; then
		run "$@"
		rc=$?
	fi
	if [ $rc != 0 ]; then
		echo "== $1 $2 FAILED"
		cat "$log"
		return 1
	fi
	local execs
	execs=$(grep -o 'execs: [0-9]*' "$log" | tail -1)
	echo "$1 $2: ${execs:-no more than the seeds: the time was over}"
}

export -f one
export D REST GO out frames
list=$(targets)
echo "$list" | xargs -P "$J" -L 1 bash -c 'one "$@"' _ || { echo "fuzz: a target failed"; exit 1; }
echo "fuzz: $(echo "$list" | wc -l) targets, $D each, $REST where no frame comes"
