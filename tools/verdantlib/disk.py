# SPDX-License-Identifier: MIT
"""A boot disk made without root and without mtools: MBR, one FAT16 partition, files in its root folder.

Layout after Microsoft's "FAT: General Overview of On-Disk Format" 1.03; names are 8.3, which U-Boot compares without
regard to case. Also U-Boot's script format (a legacy image of type script)."""

import struct
import zlib

SECTOR = 512
PARTITION_START = 2048      # sectors: 1 MiB, where partitioning tools put the first one
SECTORS_PER_CLUSTER = 8
FAT_SECTORS = 64            # 16,384 entries: more than the 4,085 clusters below which a volume is FAT12
ROOT_ENTRIES = 512
CLUSTERS = 16000            # 62 MiB of files
RESERVED_SECTORS = 1


def script(text):
    """U-Boot's `source` reads this: a 64-byte header, a table of one size, the text."""
    body = text.encode("ascii")
    data = struct.pack(">II", len(body), 0) + body
    os_linux, arch_any, type_script, uncompressed = 5, 0, 6, 0
    fields = [0x27051956, 0, 0, len(data), 0, 0, zlib.crc32(data), os_linux, arch_any, type_script, uncompressed]
    fields.append(b"boot")
    fields[1] = zlib.crc32(struct.pack(">7I4B32s", *fields))
    return struct.pack(">7I4B32s", *fields) + data


def write_image(path, files):
    """Write a disk image that holds `files`: {"NAME.EXT": bytes}."""
    fat = [0xFFF8, 0xFFFF] + [0] * (FAT_SECTORS * SECTOR // 2 - 2)
    root = b""
    area = bytearray()
    cluster_bytes = SECTORS_PER_CLUSTER * SECTOR
    for name, content in files.items():
        count = -(-len(content) // cluster_bytes)
        first = 2 + len(area) // cluster_bytes if count else 0  # an empty file has no cluster
        if first + count > CLUSTERS + 2:
            raise ValueError("the files do not fit on the boot disk")
        for cluster in range(first, first + count):
            fat[cluster] = cluster + 1 if cluster + 1 < first + count else 0xFFFF
        area += content.ljust(count * cluster_bytes, b"\0")
        root += directory_entry(name, first, len(content))
    volume = boot_sector() + struct.pack(f"<{len(fat)}H", *fat) * 2 + root.ljust(ROOT_ENTRIES * 32, b"\0") + area
    total = PARTITION_START * SECTOR + volume_sectors() * SECTOR
    with open(path, "wb") as out:
        out.write(master_boot_record())
        out.seek(PARTITION_START * SECTOR)
        out.write(volume)
        out.truncate(total)  # the free clusters stay a hole


def volume_sectors():
    return RESERVED_SECTORS + 2 * FAT_SECTORS + ROOT_ENTRIES * 32 // SECTOR + CLUSTERS * SECTORS_PER_CLUSTER


def master_boot_record():
    bootable, fat16_lba, no_chs = 0x80, 0x0E, b"\xfe\xff\xff"
    entry = struct.pack("<B3sB3sII", bootable, no_chs, fat16_lba, no_chs, PARTITION_START, volume_sectors())
    return (b"\0" * 446 + entry).ljust(510, b"\0") + b"\x55\xaa"


def boot_sector():
    fixed_disk, heads, track_sectors = 0xF8, 255, 63
    head = struct.pack("<3s8sHBHBHHBHHHII", b"\xeb\x3c\x90", b"VERDANT ", SECTOR, SECTORS_PER_CLUSTER, RESERVED_SECTORS,
                       2, ROOT_ENTRIES, 0, fixed_disk, FAT_SECTORS, track_sectors, heads, PARTITION_START,
                       volume_sectors())
    tail = struct.pack("<BBBI11s8s", 0x80, 0, 0x29, 0x56455244, b"NO NAME    ", b"FAT16   ")
    return (head + tail).ljust(510, b"\0") + b"\x55\xaa"


def directory_entry(name, first_cluster, size):
    stem, _, extension = name.upper().partition(".")
    if len(stem) > 8 or len(extension) > 3:
        raise ValueError(f"{name} is no 8.3 name")
    archive, midnight, day_one = 0x20, 0, 0x21  # 1980-01-01: the same files give the same image
    return struct.pack("<8s3sBBBHHHHHHHI", stem.ljust(8).encode(), extension.ljust(3).encode(), archive, 0, 0,
                       midnight, day_one, day_one, 0, midnight, day_one, first_cluster, size)
