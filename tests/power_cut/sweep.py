"""One cut of a device's power, and which cuts to make."""

import os
import subprocess
import time
import urllib.request

import checks
import points
from scenarios import BASELINES, COMMIT, CUT_DISKS, DISKS, REGISTRY, RUN_ARGS, SCENARIOS
from trees import Catalogue

KILLS = 0.15  # share of cuts that are a kill -9 of one process, with power
NEVER = 10**9  # a count that no call reaches: the cut then comes right after the call's end
BOOT_FIRST, BOOT_LAST = "boot first", "boot last"


class Unexpected(Exception):
    """A call that nobody cut did not do what it should: the harness cannot go on."""


class Sweep:
    """A device with its saved disks, what it must look like at the end, and where each call can be cut."""

    def __init__(self, device, cache):
        self.device, self.names = device, points.numbers()
        self.catalogue, self.baseline = Catalogue(f"{cache}/layout"), checks.Baseline()
        self.points, self.ignored = {}, []
        self.env = {}  # for the call that is cut only: how its commit protocol is broken
        self.start_registry(cache)

    def start_registry(self, cache):
        config = f"{self.device.work}/registry.yml"
        with open(config, "w") as out:
            out.write(
                f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
                f"storage: {{filesystem: {{rootdirectory: {cache}/registry}}}}\nhttp: {{addr: {REGISTRY}}}\n"
            )
        with open(f"{self.device.work}/registry.log", "w") as log:
            self.registry = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log)
        self.ignored = [self.registry.pid]
        for _ in range(500):
            try:
                urllib.request.urlopen(f"http://{REGISTRY}/v2/", timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise Unexpected("the registry does not answer")

    def stop_registry(self):
        self.registry.kill()
        self.registry.wait()

    # -- calls

    def tree(self, version):
        image = f"{REGISTRY}/mixed@{self.catalogue.images[version]['manifest']}"
        health = {"stable_s": 1 if version == "dead" else 0, "timeout_s": 10}
        meta = {"containers": [image], "run_args": RUN_ARGS, "dray": {"version": 1, "health": health}}
        self.device.make_tree(version, meta)

    def call(self, words, **more):
        """A call by its words: a verb of Mender's, or docker's words."""
        if len(words) == 1 and words[0][0].isupper():
            return self.device.verb(words[0], **more)
        return self.device.word(*words, **more)

    def expect(self, *words):
        words = ("start", "web") if words == ("web",) else words
        code, said = self.call(words)
        if code:
            raise Unexpected(f"{' '.join(words)} exited with {code}:\n{said}")

    def expect_all(self, calls):
        for words in calls:
            self.expect(*((words,) if isinstance(words, str) else words))

    # -- preparations

    def prepare(self):
        """Makes the disks that cuts start from, the baselines that they end at, and counts the points."""
        self.device.format()
        self.device.save("empty")
        for name, before, version, calls in DISKS:
            self.device.restore(before)
            self.tree(version)
            self.expect_all(calls)
            self.device.save(name)
        for version, saved, artifact, calls in BASELINES:
            self.device.restore(saved)
            self.tree(artifact)
            self.expect_all(calls)
            # As at the end of a sweep's cut: after a power cycle. What pulls need is on the disk only.
            self.device.power_off()
            self.device.attach()
            self.expect("boot")
            wrong = checks.serves((version if version in ("v1", "v2") else None,))
            if wrong:
                raise Unexpected(f"baseline {version}: {wrong[0]}")
            self.baseline.learn(version, self.device, self.ignored)
        by_name = {scenario.name: scenario for scenario in SCENARIOS}
        for name, scenario, state in CUT_DISKS:
            self.cut_until(name, by_name[scenario], state)
        for scenario in SCENARIOS:
            self.count(scenario)

    def set_up(self, scenario):
        self.device.restore(scenario.saved)
        self.tree(scenario.artifact)
        if scenario.start != "nothing":
            self.expect(scenario.start)
        wrong = checks.serves((scenario.running,))
        if wrong:
            raise Unexpected(f"{scenario.name}: before the call {wrong[0]}")

    def count(self, scenario):
        """The scenario's points, from one run that is not cut."""
        self.set_up(scenario)
        out = f"{self.device.work}/counts"
        code, said = self.call(scenario.call, tracer=[self.device.cut, "count", out])
        if (code != 0) != scenario.fails:
            raise Unexpected(f"{scenario.name}: uncut, it exited with {code}:\n{said}")
        with open(out) as counts:
            self.points[scenario.name] = points.of_counts(counts.read(), self.names)

    def cut_until(self, name, scenario, state):
        """Saves a disk on which the scenario's call was cut in the middle."""
        self.count(scenario)
        candidates = self.points[scenario.name]
        middle = len(candidates) // 2
        for _, number, times in sorted(candidates, key=lambda p: abs(candidates.index(p) - middle)):
            self.set_up(scenario)
            # What a pull leaves is worth something after a kill; a cut takes most of it.
            how = ["kill"] if state == "partial" else ["power", self.device.mount]
            self.call(scenario.call, tracer=[self.device.cut, *how, str(number), str(times)])
            if state == "partial":
                found = checks.has_partial(self.device.state)
                os.sync()
            self.device.power_off()
            self.device.attach()
            if state != "partial":
                found = checks.journal_state(self.device.state) == state
            if found:
                return self.device.save(name)
        raise Unexpected(f"no cut of {scenario.name} leaves the state {state}")

    # -- one cut

    def cut(self, scenario, point, mode, order, end):
        """Cuts once and says what is wrong afterwards: (whether the point was reached, breaches)."""
        _, number, times = point
        self.set_up(scenario)
        place = [self.device.mount] if mode == "power" else []
        tracer = [self.device.cut, mode, *place, str(number), str(times)]
        code, said = self.call(scenario.call, tracer=tracer, extra_env=self.env)
        reached = code == 137
        promised = None
        if not reached:
            if (code != 0) != scenario.fails:
                return reached, [f"the uncut call exited with {code}: {said[-500:]}"]
            promised = checks.durable(self.device.state)
            if mode == "power":
                self.device.shut_down_disk()
        breaches = []
        if mode == "power":
            self.device.power_off()
            self.device.attach()
            breaches += checks.torn(self.device.state, self.catalogue)
            if promised is not None:
                breaches += checks.lost(promised, checks.durable(self.device.state))
        return reached, breaches + self.go_on(scenario, mode, order, end, reached)

    def go_on(self, scenario, mode, order, end, reached):
        """What the client and the init system do next, and whether the device is then as it should be."""
        verbs, version = scenario.ends[end % len(scenario.ends)]
        calls = [verbs] if verbs[0] == "pull" else [(verb,) for verb in verbs]
        breaches = []
        if verbs == COMMIT:
            order = BOOT_FIRST  # a trial that does not run is not committed, and that is right
        # The init system starts a boot that was killed once more (module/dist); after a power cut it starts it anyway.
        again = mode == "kill" and reached and scenario.call == ("boot",)
        if again or mode == "power" and order == BOOT_FIRST:
            breaches += self.unaided(("boot",))
            allowed = scenario.booted if reached else scenario.finished or scenario.booted
            breaches += checks.serves(allowed)
        for words in calls:
            breaches += self.unaided(words)
        if mode == "power" and order == BOOT_LAST:
            breaches += self.unaided(("boot",))
        breaches += checks.serves((version if version in ("v1", "v2") else None,))
        # The end of a deployment ends the notes for its scope, and a name those for a pull.
        is_through = verbs[0] == "pull" or "ArtifactCommit" in verbs or version == scenario.artifact
        breaches += self.baseline.breaches(version, self.device, self.ignored, is_through)
        return breaches + checks.torn(self.device.state, self.catalogue)

    def unaided(self, words):
        code, said = self.call(words)
        return [f"then {' '.join(words)} exited with {code}: {said[-500:]}"] if code else []


def after_the_end():
    """Every call, with the power cut right after it reported its end."""
    return [(scenario, ("end", 0, NEVER)) for scenario in SCENARIOS]


def everything(sweep):
    """Every point of every call, in both orders, with every way to go on."""
    cuts = after_the_end() + [(s, p) for s in SCENARIOS for p in sweep.points[s.name]]
    return [(s, p, "power", o, e) for s, p in cuts for o in (BOOT_FIRST, BOOT_LAST) for e in range(len(s.ends))]


def sample(sweep, wanted, dice):
    """`wanted` cuts, the same number of each call."""
    cuts = after_the_end()
    while len(cuts) < wanted:
        scenario = SCENARIOS[len(cuts) % len(SCENARIOS)]
        there = sweep.points[scenario.name]
        if dice.random() < 0.5:
            # By name first: a call made once (a rename, a sync) matters as much as one made a thousand times.
            name = dice.choice(sorted({point[0] for point in there}))
            there = [point for point in there if point[0] == name]
        cuts.append((scenario, dice.choice(there)))
    return [
        (s, p, "kill" if p[2] != NEVER and dice.random() < KILLS else "power",
         dice.choice((BOOT_FIRST, BOOT_LAST)), dice.randrange(len(s.ends)))
        for s, p in cuts
    ]  # fmt: skip


def told(sweep, text):
    """The cut that a breach was printed with."""
    name, call, times, mode, order, end = text.split(";")
    (scenario,) = [scenario for scenario in SCENARIOS if scenario.name == name]
    number = {name: number for number, name in sweep.names.items()}.get(call, 0)
    return [(scenario, (call, number, int(times)), mode, order, int(end))]


def for_controls(sweep, most):
    """The cuts in which a broken commit protocol shows: after each call, and all through the ones that fetch."""
    cuts = after_the_end()
    for scenario in SCENARIOS:
        if scenario.name in ("pull", "upgrade: Download"):
            there = sweep.points[scenario.name]
            step = max(1, 2 * len(there) // (most - len(SCENARIOS)))
            # From the end: what a commit writes comes last.
            cuts += [(scenario, point) for point in there[::-step]]
    return [(s, p, "power", BOOT_FIRST, 0) for s, p in cuts]


def spelled(cut):
    scenario, point, mode, order, end = cut
    return f"{scenario.name};{point[0]};{point[2]};{mode};{order};{end}"
