#!/usr/bin/env bash
# Three hosts share 3,000 jobs of a NATS server, all on this machine. One host is killed by SIGKILL in the middle. Says what
# became of each job, and fails unless each has its own result, once.
#
# examples/cluster.sh [NODE]: NODE is the program of the example `node`, which is built if it is not said. It needs nats-server and python3.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH="$PATH:/usr/sbin"

jobs=3000
for program in nats-server python3; do
    if ! command -v "$program" >/dev/null; then
        echo "there is no $program" >&2
        exit 1
    fi
done
if (($# > 0)); then
    node="$1"
else
    cargo build --quiet --features nats --example node
    node="${CARGO_TARGET_DIR:-target}/debug/examples/node"
fi

scratch="$(mktemp -d)"
declare -A started=()
clean_up() {
    if ((${#started[@]} > 0)); then
        kill -KILL "${started[@]}" 2>/dev/null || true
        wait "${started[@]}" 2>/dev/null || true
    fi
    rm -r "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Waits until this holds, for so long as anything here may take.
wait_until() {
    local what="$1"
    shift
    local deadline=$((SECONDS + 40))
    until "$@"; do
        if ((SECONDS > deadline)); then
            echo "waited in vain until $what:" >&2
            tail -n 5 "$scratch"/*.log >&2
            exit 1
        fi
        sleep 0.05
    done
}
has_ended() {
    ! kill -0 "$1" 2>/dev/null
}
has_lines() {
    [[ -e "$2" ]] && (($(wc -l <"$2") >= $1))
}

# A free port, which the server writes down.
nats-server --addr 127.0.0.1 --port -1 --ports_file_dir "$scratch" --jetstream --store_dir "$scratch/store" 2>"$scratch/server.log" &
started[server]=$!
ports="$scratch/nats-server_$!.ports"
wait_until "the server listens" test -s "$ports"
server="$(grep -o 'nats://127.0.0.1:[0-9]*' "$ports" | head -n 1)"

# A worker that writes down each job that it begins, and answers with its number and the node.
cat >"$scratch/worker.py" <<'PYTHON'
import os
import sys
import time

sys.path.insert(0, "examples/workers")
from worker import serve

node, ran = sys.argv[1].encode(), os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def answer(job):
    number = job.removeprefix(b"echo ")
    os.write(ran, number + b" " + node + b"\n")
    time.sleep(0.005)
    return number + b" " + node
    yield


serve(answer, b"cluster")
PYTHON

for name in 1 2 3; do
    "$node" --server "$server" --workers 2 --ack-wait 5 -- \
        python3 "$scratch/worker.py" "$name" "$scratch/ran" >"$scratch/node$name.log" 2>&1 &
    started[node$name]=$!
done
for name in 1 2 3; do
    wait_until "node $name runs" has_lines 1 "$scratch/node$name.log"
done

"$node" submit --server "$server" --jobs "$jobs" >"$scratch/results" 2>"$scratch/submit.log" &
started[submit]=$!
wait_until "a third of the jobs have results" has_lines $((jobs / 3)) "$scratch/results"
kill -KILL "${started[node2]}"
wait "${started[node2]}" 2>/dev/null || true
unset "started[node2]"
echo "node 2 was killed when $(wc -l <"$scratch/results") of $jobs jobs had results"

wait_until "no job is under way" has_ended "${started[submit]}"
wait "${started[submit]}" || cat "$scratch/submit.log" >&2
unset "started[submit]"

# The others end in order.
kill -TERM "${started[node1]}" "${started[node3]}"
for name in 1 3; do
    if ! wait "${started[node$name]}"; then
        cat "$scratch/node$name.log" >&2
        echo "node $name did not end in order" >&2
        exit 1
    fi
    echo "node $name: $(tail -n 1 "$scratch/node$name.log")"
    unset "started[node$name]"
done

# A result is: run-number, status, attempts, and the answer, which is the number and the node.
awk -v jobs="$jobs" '
    FILENAME ~ /ran$/ { ran[$1]++; next }
    {
        sub(/.*-/, "", $1)
        results[$1]++
        by[$5]++
        if ($2 != "ok" || $4 != $1) { wrong++; print "job " $1 " is wrong: " $0 }
    }
    END {
        for (number = 0; number < jobs; number++) {
            if (results[number] == 0) { missing++; print "job " number " has no result; it ran " ran[number] + 0 " times" }
            if (results[number] > 1) { double++; print "job " number " has " results[number] " results" }
            if (ran[number] > 1) { again++; which = which " " number }
            all += results[number]
        }
        printf "%d results of %d jobs: %d missing, %d double, %d wrong\n", all, jobs, missing, double, wrong
        for (node = 1; node <= 3; node++) printf "by node %d: %d\n", node, by[node]
        printf "%d ran more than once, since their host was killed:%s\n", again, which
        exit missing + double + wrong > 0
    }' "$scratch/ran" "$scratch/results"
