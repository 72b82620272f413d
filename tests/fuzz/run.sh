#!/bin/sh
# Fuzzes everything that reads what others wrote; needs cargo-fuzz and a nightly toolchain.
#
#   tests/fuzz/run.sh SECONDS [TARGET...]     each target for so long, all of them by default
#
# What it finds lies in tests/fuzz/artifacts; what it learns stays in tests/fuzz/corpus, beside the seeds.
set -eu
cd "$(dirname "$0")"

seconds=$1
shift
[ $# -gt 0 ] || set -- reference manifest config tar_entries tar_applied www_authenticate docker_config ini \
    artifact artifact_raw header_info type_info meta_data checksums carried
for target; do
    mkdir -p "corpus/$target"
    cargo +nightly fuzz run --fuzz-dir . --sanitizer none "$target" "corpus/$target" "seeds/${target%_*}" -- \
        -max_total_time="$seconds" -timeout=1 -max_len=16384 -print_final_stats=1
done
