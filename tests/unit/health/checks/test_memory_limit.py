"""Tests the memory check against the limits of control groups, with simulated files of the kernel."""

import pytest

from combine_health.checks import MemoryLimit
from combine_health.checks.memory_limit import tightest
from combine_health.testing import run_check

MIB = 2**20
V2_MOUNT = "31 23 0:26 {root} {point} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"
V1_MOUNT = "34 31 0:29 {root} {point} rw,nosuid shared:11 - cgroup cgroup rw,memory"
NO_LIMIT_V1 = "9223372036854771712"


class Machine:
    """The files in ``/proc`` and ``/sys`` that the check reads."""

    def __init__(self, root):
        self.root = root

    def write(self, path, text):
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def process(self, cgroup, *mounts):
        self.write("proc/self/cgroup", cgroup + "\n")
        self.write("proc/self/mountinfo", "".join(mount + "\n" for mount in mounts))

    def v2(self, folder, limit, used, inactive=0, kills=0):
        self.write(f"{folder}/memory.max", f"{limit}\n")
        self.write(f"{folder}/memory.current", f"{used}\n")
        self.write(f"{folder}/memory.stat", f"anon 1\ninactive_file {inactive}\n")
        self.write(f"{folder}/memory.events", f"low 0\noom 1\noom_kill {kills}\n")

    def v1(self, folder, limit, used, inactive=0):
        self.write(f"{folder}/memory.limit_in_bytes", f"{limit}\n")
        self.write(f"{folder}/memory.usage_in_bytes", f"{used}\n")
        self.write(f"{folder}/memory.stat", f"cache 1\ntotal_inactive_file {inactive}\n")
        self.write(f"{folder}/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")

    def memory(self, total, available):
        self.write(
            "proc/meminfo",
            f"MemTotal: {total // 1024} kB\nMemFree: 1 kB\nMemAvailable: {available // 1024} kB\n",
        )

    def check(self, **limits):
        return run_check(MemoryLimit(root=self.root, **limits))


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_a_limit_of_version_2_is_read(machine):
    machine.process("0::/", V2_MOUNT.format(root="/", point="/sys/fs/cgroup"))
    machine.v2("sys/fs/cgroup", 100 * MIB, 60 * MIB, inactive=20 * MIB, kills=2)
    seen = machine.check()
    assert seen.status == "healthy"
    assert seen.data == {
        "used_bytes": 40 * MIB,
        "limit_bytes": 100 * MIB,
        "used_percent": 40.0,
        "limit_of": "cgroup",
        "oom_kills": 2,
    }


@pytest.mark.parametrize(
    ("used", "status", "cause"),
    [(84, "healthy", None), (85, "degraded", "memory_high"), (95, "failing", "memory_full")],
)
def test_usage_near_the_limit_is_reported(machine, used, status, cause):
    machine.process("0::/", V2_MOUNT.format(root="/", point="/sys/fs/cgroup"))
    machine.v2("sys/fs/cgroup", 100 * MIB, used * MIB)
    seen = machine.check()
    assert (seen.status, seen.cause) == (status, cause)


def test_the_limit_of_a_parent_group_is_read(machine):
    machine.process("0::/pod/app", V2_MOUNT.format(root="/", point="/sys/fs/cgroup"))
    machine.v2("sys/fs/cgroup/pod/app", "max", 50 * MIB)
    machine.v2("sys/fs/cgroup/pod", 100 * MIB, 97 * MIB)
    assert machine.check().cause == "memory_full"


def test_the_group_nearest_to_its_limit_counts(machine):
    machine.process("0::/pod/app", V2_MOUNT.format(root="/", point="/sys/fs/cgroup"))
    machine.v2("sys/fs/cgroup/pod/app", 200 * MIB, 180 * MIB)
    machine.v2("sys/fs/cgroup/pod", 1000 * MIB, 500 * MIB)
    assert machine.check().data["limit_bytes"] == 200 * MIB


def test_a_path_of_the_host_is_resolved(machine):
    # Without a cgroup namespace, only the group of the container is mounted, and the path is that
    # of the host.
    machine.process(
        "5:memory:/docker/4711\n0::/docker/4711",
        V1_MOUNT.format(root="/docker/4711", point="/sys/fs/cgroup/memory"),
    )
    machine.v1("sys/fs/cgroup/memory", 100 * MIB, 90 * MIB, inactive=50 * MIB)
    seen = machine.check()
    assert (seen.data["used_bytes"], seen.data["oom_kills"]) == (40 * MIB, 3)


def test_nested_limits_of_version_1_are_read(machine):
    machine.process(
        "9:cpu,cpuacct:/other\n5:memory:/a/b",
        V1_MOUNT.format(root="/", point="/sys/fs/cgroup/memory"),
    )
    machine.v1("sys/fs/cgroup/memory/a/b", NO_LIMIT_V1, 10 * MIB)
    machine.v1("sys/fs/cgroup/memory/a", 100 * MIB, 30 * MIB)
    machine.v1("sys/fs/cgroup/memory", NO_LIMIT_V1, 500 * MIB)
    assert machine.check().data["limit_bytes"] == 100 * MIB


def test_the_memory_of_the_machine_is_the_limit_without_a_group(machine):
    machine.process("0::/app", V2_MOUNT.format(root="/", point="/sys/fs/cgroup"))
    machine.v2("sys/fs/cgroup/app", "max", 50 * MIB)
    machine.memory(1000 * MIB, 100 * MIB)
    seen = machine.check()
    assert (seen.status, seen.cause) == ("degraded", "memory_high")
    assert seen.data["limit_of"] == "machine"
    assert "of the machine" in seen.detail


def test_a_missing_group_leaves_its_parent(machine):
    machine.process("0::/was/here", V2_MOUNT.format(root="/", point="/sys/fs/cgroup"))
    machine.v2("sys/fs/cgroup", 100 * MIB, 10 * MIB)
    assert machine.check().data["limit_bytes"] == 100 * MIB


def test_paths_outside_of_the_mount_are_ignored(machine):
    machine.process("0::/../../x", V2_MOUNT.format(root="/", point="/sys/fs/cgroup"))
    machine.v2("x", 1, 1)
    machine.v2("sys/fs/cgroup", 100 * MIB, 10 * MIB)
    assert machine.check().data["limit_bytes"] == 100 * MIB


def test_a_mount_point_may_contain_a_space(machine):
    machine.process("0::/", V2_MOUNT.format(root="/", point="/mnt/c\\040g"))
    machine.v2("mnt/c g", 100 * MIB, 10 * MIB)
    assert machine.check().data["limit_bytes"] == 100 * MIB


@pytest.mark.parametrize("garbage", ["", "nonsense", "0::", "::::", "a - b", "1 2 - cgroup2"])
def test_invalid_limits_are_ignored(machine, garbage):
    machine.process(garbage, garbage)
    machine.write("proc/meminfo", garbage)
    seen = machine.check()
    assert (seen.status, seen.cause) == ("degraded", "not_measurable")


def test_a_limit_of_zero_is_full(machine):
    machine.process("0::/", V2_MOUNT.format(root="/", point="/sys/fs/cgroup"))
    machine.v2("sys/fs/cgroup", 0, 10)
    assert machine.check().cause == "memory_full"


def test_the_check_works_on_this_machine():
    memory = tightest()
    assert memory is not None
    assert memory.used > 0
    assert memory.limit > MIB


@pytest.mark.parametrize("wrong", [{"warn_percent": 0}, {"max_percent": 101}])
def test_invalid_arguments_are_rejected(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MemoryLimit(**wrong)
