# SPDX-License-Identifier: MIT
"""Where firmware comes from: Debian's packages, and one newer OpenSBI fetched into build/firmware/.

OpenSBI before 1.3 leaves a software interrupt pending in harts that wait to be started, so each of them spins in
M-mode: 64 harts then take many seconds to come up. Debian 12 has 1.1; the next release's package is unpacked beside
the build, never installed."""

import pathlib
import re
import shutil
import subprocess
import sys
import time

from . import BUILD, Failure, debian, disk

FOLDER = BUILD / "firmware"
OPENSBI_WANTED = (1, 3)
OPENSBI_INSTALLED = pathlib.Path("/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin")
UBOOT = {
    "aarch64": pathlib.Path("/usr/lib/u-boot/qemu_arm64/u-boot.bin"),
    "riscv64": pathlib.Path("/usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin"),
}
RETRY_SECONDS = 600


def prepare(machine, scratch):
    """The firmware files of one machine, as machine.command() wants them; a boot disk is made in `scratch`."""
    files = {}
    if machine.arch == "riscv64":
        files["opensbi"] = opensbi()
    if machine.firmware == "uboot":
        files["uboot"] = existing(UBOOT[machine.arch], "u-boot-qemu")
        if machine.arch == "riscv64":
            files["disk"] = pathlib.Path(scratch) / "boot.disk"
            write_boot_disk(files["disk"], machine)
    machine.files = files
    return machine


def existing(path, package):
    if not path.exists():
        raise Failure(f"{path.name} of package {package} is missing: install {package}")
    return path


def write_boot_disk(path, machine):
    """U-Boot's own search finds the script, which loads the image and hands over the device tree it was given."""
    if "'" in machine.command_line:
        raise Failure("--append must not contain ' with U-Boot on riscv64: its shell could not pass it on")
    load = "load ${devtype} ${devnum}:${distro_bootpart}"
    text = f"setenv bootargs '{machine.command_line}'\n{load} ${{kernel_addr_r}} image\n"
    files = {"IMAGE": machine.image.read_bytes()}
    initrd = "-"
    if machine.initrd:
        text += f"{load} ${{ramdisk_addr_r}} initrd\n"
        files["INITRD"] = machine.initrd.read_bytes()
        initrd = "${ramdisk_addr_r}:0x${filesize}"
    text += f"booti ${{kernel_addr_r}} {initrd} ${{fdtcontroladdr}}\n"
    disk.write_image(path, {"BOOT.SCR": disk.script(text), **files})


def opensbi():
    """fw_dynamic.bin of an OpenSBI whose waiting harts sleep, if one can be had."""
    fetched = FOLDER / "opensbi" / "fw_dynamic.bin"
    installed = installed_opensbi_version()
    if installed and installed >= OPENSBI_WANTED and OPENSBI_INSTALLED.exists():
        return OPENSBI_INSTALLED
    if not fetched.exists():
        with debian.fetch_lock(FOLDER):
            why = "" if fetched.exists() else fetch_opensbi(fetched)
        if why:
            existing(OPENSBI_INSTALLED, "opensbi")
            named = ".".join(map(str, installed)) if installed else "of unknown version"
            print(f"warning: using the installed OpenSBI {named}: harts that wait spin, so start-up is slow ({why})",
                  file=sys.stderr)
            return OPENSBI_INSTALLED
    return fetched


def installed_opensbi_version():
    if not shutil.which("dpkg-query"):
        return None
    query = ["dpkg-query", "-W", "-f=${Version}", "opensbi"]
    match = re.match(r"(\d+)\.(\d+)", subprocess.run(query, capture_output=True, text=True, check=False).stdout)
    return (int(match.group(1)), int(match.group(2))) if match else None


def fetch_opensbi(target):
    """Download and unpack the newer package. Returns "" or why it could not be had (remembered for a while, so that a
    run of many boots on a machine without a network asks once)."""
    failed = FOLDER / "opensbi-unavailable"
    if failed.exists() and time.time() - failed.stat().st_mtime < RETRY_SECONDS:
        return failed.read_text(encoding="utf-8").strip()
    try:
        with debian.unpacked(["opensbi"], FOLDER) as (files, _):
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(".partial")
            shutil.copyfile(next(files.glob("usr/**/riscv64*/**/generic/fw_dynamic.bin")), partial)
            partial.rename(target)
    except (Failure, OSError, StopIteration) as error:
        why = str(error) or "the package holds no fw_dynamic.bin"
        failed.write_text(why + "\n", encoding="utf-8")
        return why
    return ""
