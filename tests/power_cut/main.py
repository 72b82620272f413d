"""Cuts the power of a device at its system calls, and looks whether it comes up right.

    main.py DRAY CACHE             sweep: DRAY_CUTS cuts (default 320, drawn with the printed seed; `all`; or one cut to
                                   repeat, as printed with a breach). DRAY_SEED repeats a draw.
    main.py DRAY CACHE NAME...     controls: DRAY, built with the feature `failpoints`, gets its commit protocol broken
                                   at each NAME in turn; success means that the sweep noticed every time

Inside tests/rig/private.sh. After each cut the disk must hold only whole things, the next calls must succeed unaided, the
old version or the new one must serve, as the point says, and nothing may be left over.
"""

import os
import random
import sys
import tempfile
import time
from collections import Counter

import sweep as cuts
from device import Device, Stuck
from scenarios import SCENARIOS

DEFAULT_CUTS = "320"
CONTROL_CUTS = 150  # most cuts until a broken protocol has to be noticed
MOST_BREACHES = 20  # then the rest says nothing new


def make(sweep, cut):
    """Makes one cut: (reached, breaches). A device that gets stuck is a breach too, and is put aside."""
    scenario, point, mode, order, end = cut
    try:
        return sweep.cut(scenario, point, mode, order, end)
    except (Stuck, cuts.Unexpected) as problem:
        sweep.device.abandon()
        return True, [f"stuck: {problem}"]


def run(sweep, chosen):
    """Makes the cuts and prints the table; the number of cuts with breaches."""
    made, reached, breached = Counter(), Counter(), 0
    begin = last = time.monotonic()
    for number, cut in enumerate(chosen, 1):
        was_reached, breaches = make(sweep, cut)
        made[cut[0].name] += 1
        reached[cut[0].name] += was_reached
        if breaches:
            breached += 1
            print(f"BREACH {cuts.spelled(cut)}", *breaches, sep="\n   ", flush=True)
            if breached == MOST_BREACHES:
                print(f"giving up after {breached} breaches")
                break
        if time.monotonic() - last > 20:
            last = time.monotonic()
            print(f"{number} of {len(chosen)} cuts, {breached} with breaches, {last - begin:.0f} s", flush=True)
    print(f"\n{'call':<50} {'points':>7} {'cuts':>5} {'in it':>6} {'after it':>9}")
    for scenario in SCENARIOS:
        name = scenario.name
        print(f"{name:<50} {len(sweep.points[name]):>7} {made[name]:>5} {reached[name]:>6} {made[name] - reached[name]:>9}")
    print(f"{made.total()} cuts in {time.monotonic() - begin:.0f} s: {breached} with breaches")
    return breached


def controls(sweep, names):
    """The number of broken protocols that went unnoticed."""
    missed = 0
    for name in names:
        sweep.env = {"DRAY_BREAK": name}
        chosen = cuts.for_controls(sweep, CONTROL_CUTS)
        for number, cut in enumerate(chosen, 1):
            _, breaches = make(sweep, cut)
            if breaches:
                print(f"{name}: noticed at cut {number}, {cuts.spelled(cut)}: {breaches[0]}", flush=True)
                break
        else:
            missed += 1
            print(f"{name}: NOT NOTICED in {len(chosen)} cuts", flush=True)
    return missed


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    program, cache, names = sys.argv[1], sys.argv[2], sys.argv[3:]
    # On /run, which is in memory: what a cut takes away is what the kernel had not sent to the disk, not what the disk
    # had not stored.
    device = Device(tempfile.mkdtemp(prefix="power-cut-", dir="/run"), program, f"{cache}/bin/cut")
    begin = time.monotonic()
    sweep = cuts.Sweep(device, cache)
    try:
        sweep.prepare()
        print(f"prepared in {time.monotonic() - begin:.0f} s", flush=True)
        if names:
            sys.exit(1 if controls(sweep, names) else 0)
        request = os.environ.get("DRAY_CUTS") or DEFAULT_CUTS
        seed = int(os.environ.get("DRAY_SEED") or random.randrange(10**9))
        print(f"seed {seed}", flush=True)
        if request == "all":
            chosen = cuts.everything(sweep)
        elif ";" in request:
            chosen = cuts.told(sweep, request)
        else:
            chosen = cuts.sample(sweep, int(request), random.Random(seed))
        sys.exit(1 if run(sweep, chosen) else 0)
    finally:
        # The namespace takes processes and mounts along, but a loop device is the whole machine's.
        sweep.stop_registry()
        device.abandon()


if __name__ == "__main__":
    main()
