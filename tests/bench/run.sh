#!/bin/sh
# run.sh - `make bench`: CSV of our speed and, with PEER=path of llama-bench, of the peer, in turn on the same file.
#     MODEL=FILE THREADS=2 ROUNDS=5 PEER=/path/llama-bench tests/bench/run.sh
# Columns: program, ISA level, threads, file, measure, value, unit. The last lines are medians and ratios.
set -eu
cd "$(dirname "$0")/../.."
build=build/${VARIANT:-release}
model=${MODEL:-${XDG_DATA_HOME:-$HOME/.local/share}/omni/models/SmolLM2-135M-Instruct.Q4_1.gguf}
threads=${THREADS:-2} rounds=${ROUNDS:-5} peer=${PEER:-}
rows=$(mktemp)
trap 'rm -f "$rows"' EXIT
[ -r "$model" ] || { echo "bench: no model at $model" >&2; exit 3; }
echo "# $(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1), $(nproc) processors; $(date -u +%Y-%m-%d); $(cc --version | head -n 1)"
echo "# $(sha256sum "$model")"
peer_rows() { # llama-bench's CSV -> ours
    "$peer" -m "$model" -t "$threads" -r 1 -o csv "$@" 2>/dev/null | awk -F'","' -v t="$threads" -v f="${model##*/}" '
        NR == 1 { n = split($0, name, ","); for (i = 1; i <= n; i++) { gsub(/"/, "", name[i]); col[name[i]] = i }; next }
        { gsub(/^"|"$/, "") }
        { what = $col["n_prompt"] > 0 ? "prefill " $col["n_prompt"] : "decode " $col["n_gen"] " at " $col["n_depth"]
          printf "llama.cpp,native,%s,%s,%s,%.4g,tokens/s\n", t, f, what, $col["avg_ts"] }'
}
i=0
while [ "$i" -lt "$rounds" ]; do
    "$build/tests/bench/bench_model" "$model" "$threads" 1 "$build/bin/omni-run"
    if [ -n "$peer" ]; then
        peer_rows -p 512 -n 128
        peer_rows -p 0 -n 128 -d 2048
    fi
    i=$((i + 1))
done | tee "$rows"
sort -t, -k1,1 -k5,5 -k6,6g "$rows" | awk -F, '
    { k = $1 "," $5; if (k != last) { flush(); n = 0; last = k; unit = $7 } v[++n] = $6 }
    function flush() { if (n) { m[last] = n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2; u[last] = unit; c[last] = n } }
    END { flush()
        for (k in m) printf "# median of %d: %s %.4g %s\n", c[k], k, m[k], u[k] | "sort"
        close("sort")
        for (k in m) { split(k, p, ","); o = "llama.cpp," p[2]
            if (p[1] == "omni" && (o in m)) printf "# ratio: %s %.2f\n", p[2], m[k] / m[o] | "sort" } }'
