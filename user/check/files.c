/* SPDX-License-Identifier: MIT */
/* Names and what they lead to: openat(2), mkdirat(2), unlinkat(2), linkat(2), renameat2(2), stat(2), chdir(2). */
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/stat.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#define HERE AT_FDCWD

static char long_name[PATH_MAX + 16];

static const char *name_of(size_t length)
{
    memset(long_name, 'n', length);
    long_name[length] = '\0';
    return long_name;
}

CHECK(openat, creates_opens_and_truncates)
{
    char data[8];
    struct stat status;
    int fd = (int)GOOD(syscall(SYS_openat, HERE, "f", O_CREAT | O_EXCL | O_WRONLY, 0640));

    EQUAL(write(fd, "12345", 5), 5);
    FAILS(EBADF, read(fd, data, 1)); /* write only */
    GOOD(fstat(fd, &status));
    EQUAL(status.st_mode, S_IFREG | 0640);
    EQUAL(status.st_size, 5);
    fd = (int)GOOD(syscall(SYS_openat, HERE, "f", O_RDONLY));
    FAILS(EBADF, write(fd, "x", 1));
    EQUAL(read(fd, data, sizeof(data)), 5);
    GOOD(syscall(SYS_openat, HERE, "f", O_WRONLY | O_TRUNC));
    GOOD(fstat(fd, &status));
    EQUAL(status.st_size, 0);
}

CHECK(openat, refuses_what_is_wrong)
{
    close(check_file("f", "", 0));
    GOOD(mkdir("d", 0755));
    GOOD(symlink("f", "to-f"));
    GOOD(symlink("loop", "loop"));
    FAILS(ENOENT, syscall(SYS_openat, HERE, "missing", O_RDONLY));
    FAILS(ENOENT, syscall(SYS_openat, HERE, "", O_RDONLY));
    FAILS(ENOENT, syscall(SYS_openat, HERE, "missing/x", O_CREAT | O_WRONLY, 0644));
    FAILS(EEXIST, syscall(SYS_openat, HERE, "f", O_CREAT | O_EXCL | O_WRONLY, 0644));
    FAILS(EEXIST, syscall(SYS_openat, HERE, "to-f", O_CREAT | O_EXCL | O_WRONLY, 0644));
    FAILS(ENOTDIR, syscall(SYS_openat, HERE, "f/x", O_RDONLY));
    FAILS(ENOTDIR, syscall(SYS_openat, HERE, "f/", O_RDONLY));
    FAILS(ENOTDIR, syscall(SYS_openat, HERE, "f", O_RDONLY | O_DIRECTORY));
    FAILS(EISDIR, syscall(SYS_openat, HERE, "d", O_WRONLY));
    FAILS(EISDIR, syscall(SYS_openat, HERE, "d", O_RDONLY | O_CREAT, 0644));
    FAILS(ELOOP, syscall(SYS_openat, HERE, "loop", O_RDONLY));
    FAILS(ELOOP, syscall(SYS_openat, HERE, "to-f", O_RDONLY | O_NOFOLLOW));
    FAILS(EBADF, syscall(SYS_openat, 500, "f", O_RDONLY));
    FAILS(ENAMETOOLONG, syscall(SYS_openat, HERE, name_of(NAME_MAX + 1), O_RDONLY));
    FAILS(ENAMETOOLONG, syscall(SYS_openat, HERE, name_of(PATH_MAX), O_RDONLY));
    FAILS(ENOENT, syscall(SYS_openat, HERE, name_of(NAME_MAX), O_RDONLY));
    BAD_SOURCES(1, syscall(SYS_openat, HERE, bad, O_RDONLY));
}

CHECK(openat, is_relative_to_a_folder)
{
    int folder;

    GOOD(mkdir("d", 0755));
    folder = (int)GOOD(open("d", O_RDONLY | O_DIRECTORY));
    GOOD(syscall(SYS_openat, folder, "inside", O_CREAT | O_WRONLY, 0644));
    GOOD(access("d/inside", F_OK));
    GOOD(syscall(SYS_openat, folder, "../d/./inside", O_RDONLY));
    GOOD(syscall(SYS_openat, 500, "/", O_RDONLY)); /* an absolute path needs no folder */
    FAILS(ENOTDIR, syscall(SYS_openat, check_file("f", "", 0), "x", O_RDONLY));
}

CHECK(openat, takes_the_lowest_free_descriptor)
{
    struct rlimit limit = {16, 16};

    for (int fd = 3; fd < 64; fd++)
        close(fd); /* whatever was inherited */
    GOOD(setrlimit(RLIMIT_NOFILE, &limit));
    for (int fd = 3; fd < 16; fd++)
        EQUAL(open("/", O_RDONLY), fd);
    FAILS(EMFILE, open("/", O_RDONLY));
    GOOD(close(5));
    GOOD(close(9));
    EQUAL(open("/", O_RDONLY), 5);
}

CHECK(openat, permissions_of_an_ordinary_user)
{
    NEEDS(geteuid() == 0, "needs to be root, to become somebody else");
    close(check_file("mine", "x", 1));
    GOOD(chmod("mine", 0600));
    GOOD(mkdir("closed", 0700));
    GOOD(mkdir("open", 0777));
    GOOD(chmod("open", 01777));
    close(check_file("open/mine", "x", 1));
    GOOD(chmod(".", 0755));
    GOOD(syscall(SYS_setresgid, 1000, 1000, 1000));
    GOOD(syscall(SYS_setresuid, 1000, 1000, 1000));
    FAILS(EACCES, open("mine", O_RDONLY));
    FAILS(EACCES, open("closed/x", O_RDONLY));
    FAILS(EACCES, open("new", O_CREAT | O_WRONLY, 0644));
    GOOD(open("open/new", O_CREAT | O_WRONLY, 0644));
    FAILS(EPERM, unlink("open/mine")); /* the sticky bit */
    FAILS(EPERM, chmod("mine", 0644));
    FAILS(EPERM, chown("open/new", 0, -1));
    FAILS(EPERM, syscall(SYS_setresuid, 0, 0, 0));
}

CHECK(mkdirat, makes_and_refuses)
{
    struct stat status;

    umask(022);
    GOOD(syscall(SYS_mkdirat, HERE, "d", 0777));
    GOOD(stat("d", &status));
    EQUAL(status.st_mode, S_IFDIR | 0755);
    EQUAL(status.st_nlink, 2);
    FAILS(EEXIST, syscall(SYS_mkdirat, HERE, "d", 0777));
    FAILS(EEXIST, syscall(SYS_mkdirat, HERE, ".", 0777));
    FAILS(ENOENT, syscall(SYS_mkdirat, HERE, "x/y", 0777));
    FAILS(ENOENT, syscall(SYS_mkdirat, HERE, "", 0777));
    FAILS(EBADF, syscall(SYS_mkdirat, 500, "e", 0777));
    close(check_file("f", "", 0));
    FAILS(ENOTDIR, syscall(SYS_mkdirat, HERE, "f/y", 0777));
    GOOD(syscall(SYS_mkdirat, HERE, "with-slash/", 0777));
    BAD_SOURCES(1, syscall(SYS_mkdirat, HERE, bad, 0777));
}

CHECK(unlinkat, removes_and_refuses)
{
    struct stat status;
    int fd = check_file("f", "abc", 3);
    char data[4];

    GOOD(syscall(SYS_unlinkat, HERE, "f", 0));
    EQUAL(read(fd, data, 4), 3); /* it is there as long as it is open */
    GOOD(fstat(fd, &status));
    EQUAL(status.st_nlink, 0);
    FAILS(ENOENT, syscall(SYS_unlinkat, HERE, "f", 0));
    GOOD(mkdir("d", 0755));
    close(check_file("d/f", "", 0));
    FAILS(EISDIR, syscall(SYS_unlinkat, HERE, "d", 0));
    FAILS(ENOTEMPTY, syscall(SYS_unlinkat, HERE, "d", AT_REMOVEDIR));
    FAILS(ENOTDIR, syscall(SYS_unlinkat, HERE, "d/f", AT_REMOVEDIR));
    FAILS(EINVAL, syscall(SYS_unlinkat, HERE, "d/.", AT_REMOVEDIR));
    FAILS(ENOTEMPTY, syscall(SYS_unlinkat, HERE, "d/..", AT_REMOVEDIR));
    FAILS(EBUSY, syscall(SYS_unlinkat, HERE, "/", AT_REMOVEDIR));
    FAILS(EINVAL, syscall(SYS_unlinkat, HERE, "d/f", 1));
    GOOD(syscall(SYS_unlinkat, HERE, "d/f", 0));
    GOOD(syscall(SYS_unlinkat, HERE, "d", AT_REMOVEDIR));
    BAD_SOURCES(1, syscall(SYS_unlinkat, HERE, bad, 0));
}

CHECK(linkat, two_names_are_one_file)
{
    struct stat one, other;

    close(check_file("f", "abc", 3));
    GOOD(syscall(SYS_linkat, HERE, "f", HERE, "g", 0));
    GOOD(stat("f", &one));
    GOOD(stat("g", &other));
    EQUAL(one.st_ino, other.st_ino);
    EQUAL(one.st_nlink, 2);
    FAILS(EEXIST, syscall(SYS_linkat, HERE, "f", HERE, "g", 0));
    FAILS(ENOENT, syscall(SYS_linkat, HERE, "x", HERE, "y", 0));
    GOOD(mkdir("d", 0755));
    FAILS(EPERM, syscall(SYS_linkat, HERE, "d", HERE, "e", 0));
    FAILS(EINVAL, syscall(SYS_linkat, HERE, "f", HERE, "h", 1));
    BAD_SOURCES(1, syscall(SYS_linkat, HERE, bad, HERE, "h", 0));
    BAD_SOURCES(1, syscall(SYS_linkat, HERE, "f", HERE, bad, 0));
}

CHECK(symlinkat, links_are_read_and_followed)
{
    char target[16];
    struct stat status;

    close(check_file("f", "abc", 3));
    GOOD(syscall(SYS_symlinkat, "f", HERE, "l"));
    memset(target, 'z', sizeof(target));
    EQUAL(syscall(SYS_readlinkat, HERE, "l", target, sizeof(target)), 1);
    TRUE(target[0] == 'f' && target[1] == 'z'); /* no NUL */
    GOOD(lstat("l", &status));
    EQUAL(status.st_mode, S_IFLNK | 0777);
    EQUAL(status.st_size, 1);
    GOOD(stat("l", &status));
    EQUAL(status.st_size, 3);
    FAILS(EEXIST, syscall(SYS_symlinkat, "f", HERE, "l"));
    FAILS(ENOENT, syscall(SYS_symlinkat, "", HERE, "m"));
    FAILS(EINVAL, syscall(SYS_readlinkat, HERE, "f", target, sizeof(target)));
    FAILS(EINVAL, syscall(SYS_readlinkat, HERE, "l", target, 0));
    FAILS(ENOENT, syscall(SYS_readlinkat, HERE, "x", target, 1));
    FAILS(ENOENT, syscall(SYS_readlinkat, HERE, "", target, 1)); /* no link */
    BAD_SOURCES(1, syscall(SYS_symlinkat, bad, HERE, "m"));
    BAD_SOURCES(1, syscall(SYS_readlinkat, HERE, bad, target, 1));
    BAD_TARGETS(1, syscall(SYS_readlinkat, HERE, "l", bad, 1));
}

CHECK(renameat2, moves_replaces_and_refuses)
{
    struct stat status;

    close(check_file("f", "abc", 3));
    close(check_file("g", "", 0));
    GOOD(mkdir("d", 0755));
    GOOD(mkdir("e", 0755));
    FAILS(EEXIST, syscall(SYS_renameat2, HERE, "f", HERE, "g", 1)); /* RENAME_NOREPLACE */
    GOOD(syscall(SYS_renameat2, HERE, "f", HERE, "g", 0));
    FAILS(ENOENT, stat("f", &status));
    GOOD(stat("g", &status));
    EQUAL(status.st_size, 3);
    GOOD(syscall(SYS_renameat2, HERE, "g", HERE, "d/g", 0));
    FAILS(ENOTEMPTY, syscall(SYS_renameat2, HERE, "e", HERE, "d", 0));
    GOOD(syscall(SYS_renameat2, HERE, "d", HERE, "e", 0)); /* an empty folder may be replaced */
    FAILS(EINVAL, syscall(SYS_renameat2, HERE, "e", HERE, "e/inside", 0));
    close(check_file("f", "", 0));
    FAILS(ENOTDIR, syscall(SYS_renameat2, HERE, "e", HERE, "f", 0));
    FAILS(EISDIR, syscall(SYS_renameat2, HERE, "f", HERE, "e", 0));
    FAILS(ENOENT, syscall(SYS_renameat2, HERE, "x", HERE, "y", 0));
    FAILS(EINVAL, syscall(SYS_renameat2, HERE, "f", HERE, "y", 0x100));
    BAD_SOURCES(1, syscall(SYS_renameat2, HERE, bad, HERE, "y", 0));
    BAD_SOURCES(1, syscall(SYS_renameat2, HERE, "f", HERE, bad, 0));
}

CHECK(newfstatat, fills_and_refuses)
{
    struct stat status;

    close(check_file("f", "abc", 3));
    GOOD(syscall(SYS_newfstatat, HERE, "f", &status, 0));
    EQUAL(status.st_size, 3);
    EQUAL(status.st_nlink, 1);
    EQUAL(status.st_uid, geteuid());
    FAILS(ENOENT, syscall(SYS_newfstatat, HERE, "x", &status, 0));
    FAILS(ENOENT, syscall(SYS_newfstatat, HERE, "", &status, 0));
    GOOD(syscall(SYS_newfstatat, HERE, "", &status, AT_EMPTY_PATH));
    EQUAL(status.st_mode & S_IFMT, S_IFDIR);
    FAILS(EINVAL, syscall(SYS_newfstatat, HERE, "f", &status, 1));
    FAILS(EBADF, syscall(SYS_fstat, 500, &status));
    BAD_SOURCES(1, UNLESS_NULL(bad, syscall(SYS_newfstatat, HERE, bad, &status, 0)));
    BAD_TARGETS(sizeof(status), syscall(SYS_newfstatat, HERE, "f", bad, 0));
    BAD_TARGETS(sizeof(status), syscall(SYS_fstat, 0, bad));
}

CHECK(statx, fills_and_refuses)
{
    struct statx status;

    close(check_file("f", "abc", 3));
    GOOD(syscall(SYS_statx, HERE, "f", 0, STATX_BASIC_STATS, &status));
    EQUAL(status.stx_size, 3);
    EQUAL(status.stx_mode & S_IFMT, S_IFREG);
    EQUAL(status.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
    FAILS(ENOENT, syscall(SYS_statx, HERE, "x", 0, STATX_BASIC_STATS, &status));
    FAILS(EINVAL, syscall(SYS_statx, HERE, "f", 0x6000, STATX_BASIC_STATS, &status));
    FAILS(EINVAL, syscall(SYS_statx, HERE, "f", 0, 0x80000000u, &status));
    BAD_TARGETS(sizeof(status), syscall(SYS_statx, HERE, "f", 0, STATX_BASIC_STATS, bad));
}

CHECK(chdir, changes_and_refuses)
{
    char before[PATH_MAX], path[PATH_MAX];
    int folder;

    GOOD(syscall(SYS_getcwd, before, sizeof(before)));
    GOOD(mkdir("d", 0755));
    GOOD(syscall(SYS_chdir, "d"));
    EQUAL(syscall(SYS_getcwd, path, sizeof(path)), strlen(before) + 3); /* with the NUL */
    TRUE(strncmp(path, before, strlen(before)) == 0 && strcmp(path + strlen(before), "/d") == 0);
    FAILS(ERANGE, syscall(SYS_getcwd, path, strlen(path)));
    GOOD(rmdir("../d"));
    FAILS(ENOENT, syscall(SYS_getcwd, path, sizeof(path)));
    folder = (int)GOOD(open(before, O_RDONLY));
    GOOD(syscall(SYS_fchdir, folder));
    FAILS(ENOTDIR, syscall(SYS_fchdir, check_file("f", "", 0)));
    FAILS(ENOTDIR, syscall(SYS_chdir, "f"));
    FAILS(ENOENT, syscall(SYS_chdir, "x"));
    FAILS(EBADF, syscall(SYS_fchdir, 500));
    BAD_SOURCES(1, syscall(SYS_chdir, bad));
    BAD_TARGETS(2, syscall(SYS_getcwd, bad, PATH_MAX));
}

CHECK(readahead, refuses_what_is_wrong)
{
    int fd = check_file("f", "abc", 3), ends[2];

    GOOD(syscall(SYS_readahead, fd, 0l, 100l));
    GOOD(syscall(SYS_readahead, fd, 1000l, 100l));
    EQUAL(lseek(fd, 0, SEEK_CUR), 0);
    FAILS(EBADF, syscall(SYS_readahead, 500, 0l, 100l));
    FAILS(EBADF, syscall(SYS_readahead, open("f", O_WRONLY), 0l, 100l));
    GOOD(pipe(ends));
    FAILS(EINVAL, syscall(SYS_readahead, ends[0], 0l, 100l));
    FAILS(EINVAL, syscall(SYS_readahead, open("/", O_RDONLY), 0l, 100l));
}

CHECK(getdents64, lists_every_entry_once)
{
    enum { FILES = 100 };
    unsigned seen[FILES] = {0}, others = 0;
    char buffer[1024], name[16];
    int folder;
    long bytes;

    GOOD(mkdir("d", 0755));
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof(name), "d/%d", i);
        close(check_file(name, "", 0));
    }
    folder = (int)GOOD(open("d", O_RDONLY));
    FAILS(EINVAL, syscall(SYS_getdents64, folder, buffer, 8));
    while ((bytes = GOOD(syscall(SYS_getdents64, folder, buffer, sizeof(buffer)))) > 0)
        for (long at = 0; at < bytes;) {
            struct dirent64 *entry = (struct dirent64 *)(buffer + at);
            int number = -1;

            EQUAL(entry->d_reclen % 8, 0);
            if (sscanf(entry->d_name, "%d", &number) == 1 && number >= 0 && number < FILES) {
                EQUAL(entry->d_type, DT_REG);
                seen[number]++;
            } else {
                others++;
            }
            at += entry->d_reclen;
        }
    for (int i = 0; i < FILES; i++)
        EQUAL(seen[i], 1);
    EQUAL(others, 2); /* . and .. */
    FAILS(ENOTDIR, syscall(SYS_getdents64, check_file("f", "", 0), buffer, sizeof(buffer)));
    FAILS(EBADF, syscall(SYS_getdents64, 500, buffer, sizeof(buffer)));
    EQUAL(lseek(folder, 0, SEEK_SET), 0);
    BAD_TARGETS(1, syscall(SYS_getdents64, folder, bad, 24));
}

CHECK(faccessat, looks_and_refuses)
{
    close(check_file("f", "", 0));
    GOOD(syscall(SYS_faccessat, HERE, "f", F_OK));
    GOOD(syscall(SYS_faccessat, HERE, "f", R_OK | W_OK));
    FAILS(EACCES, syscall(SYS_faccessat, HERE, "f", X_OK));
    FAILS(ENOENT, syscall(SYS_faccessat, HERE, "x", F_OK));
    FAILS(EINVAL, syscall(SYS_faccessat, HERE, "f", 8));
    BAD_SOURCES(1, syscall(SYS_faccessat, HERE, bad, F_OK));
}

CHECK(fchmodat, changes_and_refuses)
{
    struct stat status;
    int fd = check_file("f", "", 0);

    GOOD(syscall(SYS_fchmodat, HERE, "f", 04711));
    GOOD(stat("f", &status));
    EQUAL(status.st_mode, S_IFREG | 04711);
    GOOD(syscall(SYS_fchmod, fd, 0600));
    GOOD(stat("f", &status));
    EQUAL(status.st_mode, S_IFREG | 0600);
    FAILS(ENOENT, syscall(SYS_fchmodat, HERE, "x", 0600));
    FAILS(EBADF, syscall(SYS_fchmod, 500, 0600));
    BAD_SOURCES(1, syscall(SYS_fchmodat, HERE, bad, 0600));
}

CHECK(utimensat, sets_times)
{
    struct timespec times[2] = {{.tv_sec = 1000, .tv_nsec = 5}, {.tv_nsec = UTIME_OMIT}};
    struct stat before, after;

    close(check_file("f", "", 0));
    GOOD(stat("f", &before));
    GOOD(syscall(SYS_utimensat, HERE, "f", times, 0));
    GOOD(stat("f", &after));
    EQUAL(after.st_atim.tv_sec, 1000);
    EQUAL(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
    times[1].tv_nsec = 1000000000;
    FAILS(EINVAL, syscall(SYS_utimensat, HERE, "f", times, 0));
    FAILS(ENOENT, syscall(SYS_utimensat, HERE, "x", NULL, 0));
    BAD_SOURCES(sizeof(times), UNLESS_NULL(bad, syscall(SYS_utimensat, HERE, "f", bad, 0)));
}

CHECK(mknodat, fifos_and_devices)
{
    struct stat status;

    GOOD(syscall(SYS_mknodat, HERE, "fifo", S_IFIFO | 0600, 0));
    GOOD(stat("fifo", &status));
    EQUAL(status.st_mode, S_IFIFO | 0600);
    FAILS(EEXIST, syscall(SYS_mknodat, HERE, "fifo", S_IFIFO | 0600, 0));
    FAILS(EPERM, syscall(SYS_mknodat, HERE, "d", S_IFDIR | 0600, 0));
    FAILS(EINVAL, syscall(SYS_mknodat, HERE, "x", 0170000 | 0600, 0));
    BAD_SOURCES(1, syscall(SYS_mknodat, HERE, bad, S_IFIFO | 0600, 0));
    GOOD(stat("/dev/null", &status));
    EQUAL(status.st_mode & S_IFMT, S_IFCHR);
    EQUAL(status.st_rdev, makedev(1, 3));
}

CHECK(statfs, tells_of_a_file_system)
{
    struct statfs status;

    GOOD(syscall(SYS_statfs, "/", &status));
    TRUE(status.f_bsize > 0 && status.f_namelen >= NAME_MAX);
    FAILS(ENOENT, syscall(SYS_statfs, "missing", &status));
    BAD_TARGETS(sizeof(status), syscall(SYS_statfs, "/", bad));
    BAD_TARGETS(sizeof(status), syscall(SYS_fstatfs, 0, bad));
}

CHECK(umount2, takes_a_mount_away)
{
    struct statfs status;

    GOOD(mkdir("m", 0755));
    FAILS(EINVAL, syscall(SYS_umount2, "m", 0x100));
    NEEDS(syscall(SYS_mount, "none", "m", "tmpfs", MS_NOSUID | MS_NODEV, "") == 0, "rights to mount");
    GOOD(statfs("m", &status));
    TRUE((status.f_flags & (ST_NOSUID | ST_NODEV | ST_RDONLY | ST_NOEXEC)) == (ST_NOSUID | ST_NODEV));
    int fd = (int)GOOD(open("m/f", O_CREAT | O_RDWR, 0600));

    GOOD(mkdir("m/d", 0755));
    FAILS(EBUSY, syscall(SYS_umount2, "m", 0));
    FAILS(EBUSY, syscall(SYS_mount, "none", "m", "", MS_REMOUNT | MS_RDONLY, ""));
    FAILS(EINVAL, syscall(SYS_umount2, "m/d", 0));
    FAILS(ENOENT, syscall(SYS_umount2, "n", 0));
    GOOD(close(fd));
    GOOD(syscall(SYS_mount, "none", "m", "", MS_REMOUNT | MS_RDONLY, ""));
    FAILS(EROFS, open("m/f", O_WRONLY));
    FAILS(EROFS, open("m/g", O_CREAT | O_WRONLY, 0600));
    FAILS(EROFS, unlink("m/f"));
    GOOD(close(GOOD(open("m/f", O_RDONLY))));
    GOOD(syscall(SYS_umount2, "m", 0));
    FAILS(ENOENT, open("m/f", O_RDONLY));
    FAILS(EINVAL, syscall(SYS_umount2, "m", 0));
    GOOD(syscall(SYS_mount, "none", "m", "tmpfs", 0, ""));
    fd = check_file("m/f", "abc", 3);
    GOOD(syscall(SYS_umount2, "m", MNT_DETACH));
    FAILS(ENOENT, open("m/f", O_RDONLY));
    EQUAL(write(fd, "d", 1), 1);
    BAD_SOURCES(1, syscall(SYS_umount2, bad, 0));
}
