"""Tests the memory limit of the control group, with simulated files of the kernel."""

from pathlib import Path

import pytest

from combine_core.observe.memory import Group, tightest_group

MIB = 2**20
NO_LIMIT_V1 = 9223372036854771712
V2_MOUNT = "30 25 0:26 {root} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
V1_MOUNT = "33 25 0:29 {root} /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory"
V2, V1 = "sys/fs/cgroup", "sys/fs/cgroup/memory"


@pytest.fixture
def write(tmp_path):
    def write(path: str, text: object) -> None:
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"{text}\n", encoding="utf-8")

    return write


@pytest.fixture
def v2(write):
    """``v2(folder, limit, used, inactive)``: write a group of version 2, in MiB or as text."""

    def v2(folder: str, limit: object, used: int, inactive: int = 0) -> None:
        write(f"{V2}/{folder}/memory.max", limit * MIB if isinstance(limit, int) else limit)
        write(f"{V2}/{folder}/memory.current", used * MIB)
        write(f"{V2}/{folder}/memory.stat", f"anon 5\ninactive_file {inactive * MIB}\nfile 7")

    return v2


def test_a_container_at_the_root_has_a_limit(tmp_path, write, v2):
    write("proc/self/cgroup", "0::/")
    write("proc/self/mountinfo", V2_MOUNT.format(root="/"))
    v2(".", 1024, 700, 100)
    assert tightest_group(tmp_path) == Group(600 * MIB, 1024 * MIB)


def test_the_limit_of_a_parent_group_counts(tmp_path, write, v2):
    write("proc/self/cgroup", "0::/pod/app/inner")
    write("proc/self/mountinfo", V2_MOUNT.format(root="/"))
    v2("pod", 2048, 1900)
    v2("pod/app", 1024, 300)
    v2("pod/app/inner", "max", 300)
    assert tightest_group(tmp_path) == Group(1900 * MIB, 2048 * MIB)


def test_a_path_of_the_host_is_resolved(tmp_path, write, v2):
    write("proc/self/cgroup", "0::/docker/abc/worker")
    write("proc/self/mountinfo", V2_MOUNT.format(root="/docker/abc"))
    v2("worker", 512, 100)
    v2(".", 1024, 150)
    assert tightest_group(tmp_path) == Group(100 * MIB, 512 * MIB)


@pytest.mark.parametrize("path", ["/../../elsewhere", "/gone/away"])
def test_an_invisible_path_leaves_the_root(tmp_path, write, v2, path):
    write("proc/self/cgroup", f"0::{path}")
    write("proc/self/mountinfo", V2_MOUNT.format(root="/"))
    v2(".", 1024, 10)
    write("elsewhere/memory.max", 1)
    write("elsewhere/memory.current", 1)
    assert tightest_group(tmp_path) == Group(10 * MIB, 1024 * MIB)


def test_nested_groups_of_version_1_are_read(tmp_path, write):
    write("proc/self/cgroup", "12:cpu,cpuacct:/x\n9:memory:/docker/abc\n1:name=systemd:/y")
    write("proc/self/mountinfo", V1_MOUNT.format(root="/"))
    for folder, limit, used in ((".", NO_LIMIT_V1, 9000), ("docker", 800 * MIB, 700)):
        write(f"{V1}/{folder}/memory.limit_in_bytes", limit)
        write(f"{V1}/{folder}/memory.usage_in_bytes", used * MIB)
    write(f"{V1}/docker/abc/memory.limit_in_bytes", 1024 * MIB)
    write(f"{V1}/docker/abc/memory.usage_in_bytes", 500 * MIB)
    write(f"{V1}/docker/memory.stat", f"total_inactive_file {600 * MIB}")
    assert tightest_group(tmp_path) == Group(500 * MIB, 1024 * MIB)


def test_both_versions_can_be_mounted(tmp_path, write, v2):
    write("proc/self/cgroup", "9:memory:/a\n0::/a")
    write(
        "proc/self/mountinfo", f"{V1_MOUNT.format(root='/')}\n{V2_MOUNT.format(root='/')}\nrubbish"
    )
    v2("a", "max", 5)
    write(f"{V1}/a/memory.limit_in_bytes", 64 * MIB)
    write(f"{V1}/a/memory.usage_in_bytes", 32 * MIB)
    assert tightest_group(tmp_path) == Group(32 * MIB, 64 * MIB)


def test_a_group_may_have_no_limit(tmp_path, write, v2):
    write("proc/self/cgroup", "0::/")
    write("proc/self/mountinfo", V2_MOUNT.format(root="/"))
    v2(".", "max", 10)
    assert tightest_group(tmp_path) is None


def test_a_system_may_have_no_groups(tmp_path):
    assert tightest_group(tmp_path) is None


def test_the_usage_is_never_negative(tmp_path, write, v2):
    write("proc/self/cgroup", "0::/")
    write("proc/self/mountinfo", V2_MOUNT.format(root="/"))
    v2(".", 1024, 10, 30)
    assert tightest_group(tmp_path) == Group(0, 1024 * MIB)


def test_the_kernel_of_this_machine_can_be_read():
    group = tightest_group(Path("/"))
    assert group is None or group.limit > 0
