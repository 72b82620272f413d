"""Which calls are cut, from which disk, and what may be there afterwards."""

from dataclasses import dataclass, field

REGISTRY = "127.0.0.1:5000"
RUN_ARGS = "--name web -p 18080:8080 --restart unless-stopped"

ROLL_BACK = ("ArtifactRollback", "ArtifactFailure", "Cleanup")
COMMIT = ("ArtifactCommit", "Cleanup")
WHOLE = ("Download", "ArtifactInstall", "ArtifactCommit", "Cleanup")


@dataclass(frozen=True)
class Scenario:
    """One call on one disk.

    `ends` are the ways a client goes on after a power loss, each with the version that must then serve: what the client
    asks next depends on the client (3.4 or 5, daemon or command line), so all of them are tried.
    """

    name: str
    saved: str  # the disk before the call
    start: str  # how the device came up: "boot", "web" (only the container, a deployment being open), "nothing"
    running: str | None  # what serves before the call
    call: tuple[str, ...]  # a verb, or docker's words
    artifact: str  # the version that the client's tree is about
    fails: bool = False  # whether the call reports failure when nothing is cut
    booted: tuple[str | None, ...] = ()  # what may serve after a cut and a boot
    finished: tuple[str | None, ...] = ()  # the same when the call had reported its end; empty: as booted
    ends: tuple[tuple[tuple[str, ...], str | None], ...] = field(default=())


def pull(version):
    return ("pull", f"{REGISTRY}/mixed:{version}")


SCENARIOS = (
    Scenario("pull", "empty", "nothing", None, pull("v2"), "v2", booted=(None,), ends=((pull("v2"), "image v2"),)),
    # What a killed one has left is gone on with, and not believed.
    Scenario("pull: after a killed one", "v2 partly pulled", "nothing", None, pull("v2"), "v2", booted=(None,),
             ends=((pull("v2"), "image v2"),)),
    # First installation.
    Scenario("install: Download", "empty", "nothing", None, ("Download",), "v1", booted=(None,),
             ends=((("Cleanup",), None), (WHOLE, "v1"))),
    Scenario("install: ArtifactInstall", "v1 prepared", "nothing", None, ("ArtifactInstall",), "v1",
             booted=(None, "v1"), finished=("v1",), ends=((ROLL_BACK, None), (WHOLE, "v1"))),
    Scenario("install: ArtifactCommit", "v1 trial", "boot", "v1", ("ArtifactCommit",), "v1", booted=("v1",),
             ends=((ROLL_BACK, None), (COMMIT, "v1"))),
    Scenario("install: Cleanup", "v1 committed", "boot", "v1", ("Cleanup",), "v1", booted=("v1",),
             ends=((("Cleanup",), "v1"),)),
    # The next version.
    Scenario("upgrade: Download", "v1 idle", "boot", "v1", ("Download",), "v2", booted=("v1",),
             ends=((("Cleanup",), "v1"), (WHOLE, "v2"))),
    Scenario("upgrade: ArtifactInstall", "v2 prepared", "web", "v1", ("ArtifactInstall",), "v2", booted=("v1", "v2"),
             finished=("v2",), ends=((ROLL_BACK, "v1"), (WHOLE, "v2"))),
    Scenario("upgrade: ArtifactCommit", "v2 trial", "boot", "v2", ("ArtifactCommit",), "v2", booted=("v2",),
             ends=((ROLL_BACK, "v1"), (COMMIT, "v2"))),
    Scenario("upgrade: Cleanup", "v2 committed", "boot", "v2", ("Cleanup",), "v2", booted=("v2",),
             ends=((("Cleanup",), "v2"),)),
    # An image that dies at once is refused by the call itself.
    Scenario("refusal: ArtifactInstall", "dead prepared", "web", "v1", ("ArtifactInstall",), "dead", fails=True,
             booted=("v1",), ends=((ROLL_BACK, "v1"),)),
    # And back.
    Scenario("rollback: ArtifactRollback", "v2 trial", "boot", "v2", ("ArtifactRollback",), "v2", booted=("v1", "v2"),
             finished=("v1",), ends=((ROLL_BACK, "v1"),)),
    Scenario("rollback: ArtifactRollback after the commit", "v2 committed", "boot", "v2", ("ArtifactRollback",), "v2",
             booted=("v1", "v2"), finished=("v1",), ends=((ROLL_BACK, "v1"),)),
    Scenario("rollback: ArtifactFailure", "v2 rolled back", "boot", "v1", ("ArtifactFailure",), "v2", booted=("v1",),
             ends=((("ArtifactFailure", "Cleanup"), "v1"),)),
    Scenario("rollback: Cleanup", "v2 rolled back", "boot", "v1", ("Cleanup",), "v2", booted=("v1",),
             ends=((("Cleanup",), "v1"),)),
    # Networks: there or not, and what serves is none the worse.
    Scenario("network: create", "v1 idle", "boot", "v1", ("network", "create", "front"), "v2", booted=("v1",),
             ends=((WHOLE, "v2"),)),
    Scenario("network: connect", "v1 beside a network", "boot", "v1", ("network", "connect", "front", "web"), "v2",
             booted=("v1",), ends=((WHOLE, "v2"),)),
    Scenario("network: rm", "v1 beside a network", "boot", "v1", ("network", "rm", "front"), "v2", booted=("v1",),
             ends=((WHOLE, "v2"),)),
    # A second cut while the device comes up after the first.
    Scenario("boot: nothing open", "v1 idle", "nothing", None, ("boot",), "v2", booted=("v1",),
             ends=((WHOLE, "v2"),)),
    Scenario("boot: a download was cut", "v2 half downloaded", "nothing", None, ("boot",), "v2", booted=("v1",),
             ends=((("Cleanup",), "v1"), (WHOLE, "v2"))),
    Scenario("boot: an install was cut", "v2 half installed", "nothing", None, ("boot",), "v2", booted=("v1",),
             ends=((ROLL_BACK, "v1"), (WHOLE, "v2"))),
    Scenario("boot: on trial", "v2 trial", "nothing", None, ("boot",), "v2", booted=("v2",),
             ends=((ROLL_BACK, "v1"), (COMMIT, "v2"))),
    Scenario("boot: a rollback was cut", "v2 half rolled back", "nothing", None, ("boot",), "v2", booted=("v1",),
             ends=((ROLL_BACK, "v1"),)),
)  # fmt: skip

# How the disks come about: name, the disk before, the artifact, the calls.
DISKS = (
    ("v1 prepared", "empty", "v1", ("Download",)),
    ("v1 trial", "v1 prepared", "v1", ("ArtifactInstall",)),
    ("v1 committed", "v1 trial", "v1", ("boot", "ArtifactCommit")),
    ("v1 idle", "v1 committed", "v1", ("boot", "Cleanup")),
    ("v1 beside a network", "v1 idle", "v1", (("network", "create", "front"),)),
    ("v2 prepared", "v1 idle", "v2", ("boot", "Download")),
    ("dead prepared", "v1 idle", "dead", ("boot", "Download")),
    ("v2 trial", "v2 prepared", "v2", ("web", "ArtifactInstall")),
    ("v2 committed", "v2 trial", "v2", ("boot", "ArtifactCommit")),
    ("v2 rolled back", "v2 trial", "v2", ("boot", "ArtifactRollback")),
)

# Disks that only a cut makes: name, the scenario that is cut, and the journal state in which it has to be, or "partial" for
# part of a blob. The cut is the first of the scenario's points, tried from the middle outwards, that leaves this state.
CUT_DISKS = (
    ("v2 partly pulled", "pull", "partial"),
    ("v2 half downloaded", "upgrade: Download", "downloading"),
    ("v2 half installed", "upgrade: ArtifactInstall", "switching"),
    ("v2 half rolled back", "rollback: ArtifactRollback", "rolling-back"),
)

# What a device that was never cut looks like at the end: version, the disk, the calls that lead there.
BASELINES = (
    (None, "v1 trial", "v1", ("boot", *ROLL_BACK)),
    ("v1", "v1 committed", "v1", ("boot", "Cleanup")),
    ("v2", "v2 committed", "v2", ("boot", "Cleanup")),
    ("image v2", "empty", "v2", (pull("v2"),)),
)
