/* SPDX-License-Identifier: MIT */
/*
 * The numbers of files that programs see: Linux's asm-generic values. A machine whose numbers differ (open(2) flags of
 * some) translates them at the border, in the tables of its system calls.
 */
#pragma once

/* Sizes. A path counts its NUL, a name does not. */
#define PATH_BYTES_MAX 4096u
#define NAME_BYTES_MAX 255u
#define SYMLINKS_MAX 40u /* that one look-up follows */
#define IOV_MAX_COUNT 1024u
#define PIPE_BUF_BYTES 4096u

/* open(2), fcntl(2). */
#define O_RDONLY 00000000u
#define O_WRONLY 00000001u
#define O_RDWR 00000002u
#define O_ACCMODE 00000003u
#define O_CREAT 00000100u
#define O_EXCL 00000200u
#define O_NOCTTY 00000400u
#define O_TRUNC 00001000u
#define O_APPEND 00002000u
#define O_NONBLOCK 00004000u
#define O_DSYNC 00010000u
#define O_DIRECT 00040000u
#define O_LARGEFILE 00100000u
#define O_DIRECTORY 00200000u
#define O_NOFOLLOW 00400000u
#define O_NOATIME 01000000u
#define O_CLOEXEC 02000000u
#define O_PATH 010000000u
#define O_TMPFILE 020000000u /* without O_DIRECTORY, which comes with it */

/* mount(2), what stays with a mount; umount2(2). */
#define MS_RDONLY 0x1u
#define MS_NOSUID 0x2u
#define MS_NODEV 0x4u
#define MS_NOEXEC 0x8u
#define MS_NOATIME 0x400u
#define MS_NODIRATIME 0x800u
#define MS_KEPT (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME)
#define MNT_FORCE 0x1u
#define MNT_DETACH 0x2u
#define UMOUNT_NOFOLLOW 0x8u

/* inode(7). */
#define S_IFMT 0170000u
#define S_IFSOCK 0140000u
#define S_IFLNK 0120000u
#define S_IFREG 0100000u
#define S_IFBLK 0060000u
#define S_IFDIR 0040000u
#define S_IFCHR 0020000u
#define S_IFIFO 0010000u
#define S_ISUID 0004000u
#define S_ISGID 0002000u
#define S_ISVTX 0001000u
#define S_IXGRP 0000010u
#define S_PERMISSIONS 0007777u

/* lseek(2). */
#define SEEK_SET 0
#define SEEK_CUR 1
#define SEEK_END 2
#define SEEK_DATA 3
#define SEEK_HOLE 4

/* fallocate(2). */
#define FALLOC_KEEP_SIZE 0x1u
#define FALLOC_PUNCH_HOLE 0x2u
#define FALLOC_ZERO_RANGE 0x10u

/* renameat2(2). */
#define RENAME_NOREPLACE 1u
#define RENAME_EXCHANGE 2u

/* poll(2). */
#define POLLIN 0x001u
#define POLLPRI 0x002u
#define POLLOUT 0x004u
#define POLLERR 0x008u
#define POLLHUP 0x010u
#define POLLNVAL 0x020u
#define POLLRDNORM 0x040u
#define POLLRDBAND 0x080u
#define POLLWRNORM 0x100u
#define POLLWRBAND 0x200u
#define POLLRDHUP 0x2000u

/* ioctl(2) of any file that can tell: how many bytes a read would get now, an int. */
#define FIONREAD 0x541bu
#define FIONBIO 0x5421u   /* these three are every file's */
#define FIONCLEX 0x5450u
#define FIOCLEX 0x5451u

/* Device numbers, as programs see them in stat(2): 12 bits of major, 20 of minor. */
#define DEVICE(major, minor) (((uint32_t)(minor) & 0xffu) | (uint32_t)(major) << 8 | ((uint32_t)(minor) & ~0xffu) << 12)
#define DEVICE_MAJOR(device) ((device) >> 8 & 0xfffu)
#define DEVICE_MINOR(device) (((device) & 0xffu) | ((device) >> 12 & 0xfff00u))
