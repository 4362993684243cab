/* SPDX-License-Identifier: MIT */
/* core/syscall/path.c: what is opened, made, removed and changed by name. */
#include "file_world.h"

enum { NOFOLLOW = 0x100, REMOVEDIR = 0x200, EACCESS = 0x200, FOLLOW = 0x400, EMPTY_PATH = 0x1000 };
enum { MAY_R = 4, MAY_W = 2, MAY_X = 1 };

#define NO_MODE 0x80000000u

/* From the generic struct stat: 16 mode, 20 links, 24 user, 28 group. */
static uint32_t fact_of(const char *path, unsigned offset)
{
    return CALL(lstat, text_at(TEXT2, path), DATA) != 0 ? NO_MODE : get32(DATA + offset);
}

static uint32_t mode_of(const char *path)
{
    return fact_of(path, 16);
}

static int opening(void)
{
    files_begin();
    CHECK(CALL(open, PATH1("a"), O_RDONLY) == -ENOENT && CALL(open, NOWHERE, O_RDONLY) == -EFAULT);
    CHECK(CALL(open, PATH1(""), O_RDONLY) == -ENOENT);
    CHECK(CALL(open, PATH1("a"), O_CREAT | O_RDWR | O_EXCL | O_CLOEXEC, 0666) == 0);
    CHECK(mode_of("a") == (S_IFREG | 0644) && CALL(fcntl, 0, 1) == 1); /* the umask is 022 */
    CHECK(CALL(open, PATH1("a"), O_CREAT | O_EXCL, 0666) == -EEXIST && CALL(open, PATH1("a/"), O_RDONLY) == -ENOTDIR);
    CHECK(CALL(open, PATH1("a"), O_RDONLY | syscall_abi.o_directory) == -ENOTDIR);
    CHECK(CALL(open, PATH1("/world"), O_WRONLY) == -EISDIR);
    CHECK(CALL(creat, PATH1("b"), 0600) == 1 && mode_of("b") == (S_IFREG | 0600));
    CHECK(CALL(fcntl, 1, 3) == (O_WRONLY | syscall_abi.o_largefile));

    int64_t dir = CALL(openat, AT_CWD, PATH1("/world"), O_RDONLY | syscall_abi.o_directory);

    CHECK(dir == 2 && CALL(openat, U(dir), PATH1("a"), O_RDONLY) == 3);
    CHECK(CALL(openat, 40, PATH1("a"), O_RDONLY) == -EBADF && CALL(openat, 0, PATH1("a"), O_RDONLY) == -ENOTDIR);
    for (int64_t fd = 4; fd < 64; fd++)
        CHECK(CALL(open, PATH1("a"), O_RDONLY) == fd);
    CHECK(CALL(open, PATH1("c"), O_RDONLY | O_CREAT, 0666) == -EMFILE);
    return 0;
}

static int making(void)
{
    files_begin();
    CHECK(CALL(mkdir, PATH1("d"), 07777) == 0 && mode_of("d") == (S_IFDIR | S_ISVTX | 0755));
    CHECK(CALL(mkdir, PATH1("d"), 0777) == -EEXIST && CALL(mkdir, PATH1("x/y"), 0777) == -ENOENT);
    CHECK(CALL(mkdir, NOWHERE, 0777) == -EFAULT);
    int64_t dir = CALL(open, PATH1("d"), O_RDONLY | syscall_abi.o_directory);

    CHECK(CALL(mkdirat, U(dir), PATH1("e"), 0700) == 0 && mode_of("d/e") == (S_IFDIR | 0700));
    CHECK(CALL(mknod, PATH1("f"), 0666) == 0 && mode_of("f") == (S_IFREG | 0644)); /* no type: a regular file */
    CHECK(CALL(mknod, PATH1("p"), S_IFIFO | 0600) == 0 && mode_of("p") == (S_IFIFO | 0600));
    CHECK(CALL(mknodat, U(dir), PATH1("n"), S_IFCHR | 0666, 0x103) == 0 && mode_of("d/n") == (S_IFCHR | 0644));
    CHECK(CALL(mknod, PATH1("q"), S_IFDIR | 0600) == -EPERM && CALL(mknod, PATH1("f"), 0666) == -EEXIST);
    CHECK(CALL(mknod, NOWHERE, 0666) == -EFAULT);

    CHECK(CALL(link, PATH1("f"), PATH2("g")) == 0 && fact_of("g", 20) == 2);
    CHECK(CALL(link, PATH1("f"), PATH2("g")) == -EEXIST && CALL(link, PATH1("d"), PATH2("h")) == -EPERM);
    CHECK(CALL(linkat, AT_CWD, PATH1("f"), AT_CWD, PATH2("h"), 1) == -EINVAL);
    CHECK(CALL(link, PATH1("f"), NOWHERE) == -EFAULT);
    CHECK(CALL(symlink, PATH1("f"), PATH2("s")) == 0 && CALL(symlinkat, PATH1("../f"), U(dir), PATH2("s")) == 0);
    CHECK(CALL(symlink, PATH1("f"), PATH2("s")) == -EEXIST && CALL(symlink, PATH1(""), PATH2("t")) == -ENOENT);
    CHECK(CALL(symlink, NOWHERE, PATH2("t")) == -EFAULT && CALL(symlink, PATH1("f"), NOWHERE) == -EFAULT);
    CHECK(CALL(linkat, AT_CWD, PATH1("s"), AT_CWD, PATH2("t"), 0) == 0 && mode_of("t") == (S_IFLNK | 0777));
    CHECK(CALL(linkat, AT_CWD, PATH1("s"), AT_CWD, PATH2("u"), FOLLOW) == 0 && fact_of("u", 20) == 3);

    CHECK(CALL(readlink, PATH1("d/s"), DATA, 100) == 4 && text_is(DATA, "../f"));
    CHECK(CALL(readlink, PATH1("d/s"), DATA, 2) == 2 && CALL(readlink, PATH1("f"), DATA, 100) == -EINVAL);
    CHECK(CALL(readlink, PATH1("s"), DATA, 0) == -EINVAL && CALL(readlink, PATH1("s"), NOWHERE, 9) == -EFAULT);
    CHECK(CALL(readlinkat, U(dir), PATH1("s"), DATA, 100) == 4 && CALL(readlink, PATH1("x"), DATA, 9) == -ENOENT);
    int64_t own = CALL(open, PATH1("d/s"), O_PATH | syscall_abi.o_nofollow);

    CHECK(own >= 0 && CALL(readlinkat, U(own), PATH1(""), DATA, 100) == 4);
    return 0;
}

static int removing(void)
{
    files_begin();
    CHECK(CALL(close, U(file_with("f", "abc"))) == 0 && CALL(mkdir, PATH1("d"), 0777) == 0);
    CHECK(CALL(unlink, PATH1("d")) == -EISDIR && CALL(rmdir, PATH1("f")) == -ENOTDIR);
    CHECK(CALL(unlink, PATH1("x")) == -ENOENT && CALL(unlink, NOWHERE) == -EFAULT && CALL(rmdir, NOWHERE) == -EFAULT);
    CHECK(CALL(unlinkat, AT_CWD, PATH1("f"), 1) == -EINVAL && CALL(unlinkat, 40, PATH1("f"), 0) == -EBADF);

    CHECK(CALL(rename, PATH1("f"), PATH2("d/g")) == 0 && mode_of("f") == NO_MODE && mode_of("d/g") == (S_IFREG | 0644));
    CHECK(CALL(rmdir, PATH1("d")) == -ENOTEMPTY && CALL(rename, PATH1("d"), PATH2("d/e")) == -EINVAL);
    CHECK(CALL(rename, PATH1("f"), PATH2("h")) == -ENOENT && CALL(rename, NOWHERE, PATH2("h")) == -EFAULT);
    CHECK(CALL(rename, PATH1("d/g"), NOWHERE) == -EFAULT);
    int64_t dir = CALL(open, PATH1("d"), O_RDONLY | syscall_abi.o_directory);

    CHECK(CALL(close, U(file_with("k", "k"))) == 0);
    CHECK(CALL(renameat2, U(dir), PATH1("g"), AT_CWD, PATH2("k"), RENAME_NOREPLACE) == -EEXIST);
    CHECK(CALL(renameat2, U(dir), PATH1("g"), AT_CWD, PATH2("k"), 3) == -EINVAL);
    CHECK(CALL(renameat2, U(dir), PATH1("g"), AT_CWD, PATH2("k"), 4) == -EINVAL);
    CHECK(CALL(renameat2, U(dir), PATH1("g"), AT_CWD, PATH2("k"), RENAME_EXCHANGE) == 0);
    CHECK(CALL(renameat, AT_CWD, PATH1("k"), U(dir), PATH2("l")) == 0 && mode_of("d/l") == (S_IFREG | 0644));
    CHECK(CALL(unlinkat, U(dir), PATH1("l"), 0) == 0 && CALL(unlink, PATH1("d/g")) == 0);
    CHECK(CALL(unlinkat, AT_CWD, PATH1("d"), REMOVEDIR) == 0 && mode_of("d") == NO_MODE);
    CHECK(CALL(mkdir, PATH1("d"), 0777) == 0 && CALL(rmdir, PATH1("d")) == 0);
    return 0;
}

static int rights(void)
{
    files_begin();
    int64_t fd = file_with("f", "abc");

    CHECK(CALL(access, PATH1("f"), 0) == 0 && CALL(access, PATH1("f"), MAY_R | MAY_W) == 0);
    CHECK(CALL(access, PATH1("f"), MAY_X) == -EACCES && CALL(access, PATH1("f"), 8) == -EINVAL);
    CHECK(CALL(access, PATH1("x"), 0) == -ENOENT && CALL(access, NOWHERE, 0) == -EFAULT);
    CHECK(CALL(chmod, PATH1("f"), 04711) == 0 && mode_of("f") == (S_IFREG | 04711));
    CHECK(CALL(access, PATH1("f"), MAY_X) == 0 && CALL(chmod, PATH1("x"), 0) == -ENOENT);
    CHECK(CALL(fchmod, U(fd), 0640) == 0 && mode_of("f") == (S_IFREG | 0640) && CALL(fchmod, 40, 0) == -EBADF);
    CHECK(CALL(symlink, PATH1("f"), PATH2("s")) == 0);
    CHECK(CALL(fchmodat2, AT_CWD, PATH1("s"), 0600, NOFOLLOW) == -EOPNOTSUPP);
    CHECK(CALL(fchmodat, AT_CWD, PATH1("s"), 0604) == 0 && mode_of("f") == (S_IFREG | 0604));
    CHECK(CALL(fchmodat2, AT_CWD, PATH1("s"), 0600, 1) == -EINVAL);
    CHECK(CALL(chown, PATH1("s"), 3, 4) == 0 && fact_of("f", 24) == 3 && fact_of("f", 28) == 4);
    CHECK(fact_of("s", 24) == 0);
    CHECK(CALL(lchown, PATH1("s"), 5, U(-1)) == 0 && fact_of("s", 24) == 5 && fact_of("s", 28) == 0);
    CHECK(CALL(fchown, U(fd), U(-1), 6) == 0 && fact_of("f", 24) == 3 && fact_of("f", 28) == 6);
    CHECK(CALL(fchown, 40, 1, 1) == -EBADF && CALL(fchownat, AT_CWD, PATH1("f"), 1, 1, 1) == -EINVAL);
    CHECK(CALL(fchownat, U(fd), PATH1(""), 1000, 1000, EMPTY_PATH) == 0 && fact_of("f", 24) == 1000);

    int64_t path_only = CALL(open, PATH1("f"), O_PATH);

    CHECK(CALL(fchmod, U(path_only), 0600) == -EBADF && CALL(fchown, U(path_only), 1, 1) == -EBADF);
    CHECK(CALL(truncate, PATH1("f"), 1) == 0 && CALL(lseek, U(fd), 0, SEEK_END) == 1);
    CHECK(CALL(truncate, PATH1("f"), U(-1)) == -EINVAL && CALL(truncate, PATH1("/world"), 0) == -EISDIR);
    world_become(1001);
    CHECK(CALL(chmod, PATH1("f"), 0666) == -EPERM && CALL(chown, PATH1("f"), 1001, 1001) == -EPERM);
    CHECK(CALL(access, PATH1("f"), MAY_W) == -EACCES && CALL(access, PATH1("f"), MAY_R) == 0);
    CHECK(CALL(truncate, PATH1("f"), 0) == -EACCES && CALL(mkdir, PATH1("/d"), 0777) == -EACCES);
    CHECK(CALL(mknod, PATH1("/tmp/n"), S_IFCHR | 0666, 0x103) == -EPERM);
    return 0;
}

/* Of another user by its effective ids only: access(2) asks for the real ones. */
static int real_rights(void)
{
    struct cred *cred = NULL;

    files_begin();
    CHECK(CALL(close, U(file_with("f", "abc"))) == 0 && CALL(chmod, PATH1("f"), 0600) == 0);
    CHECK(cred_copy(thread_current()->user.cred, &cred) == 0);
    CHECK(cred_set_all_users(cred, thread_current()->user.cred, 1000, 0, 0) == 0);
    CHECK(thread_set_cred(cred) == 0);
    CHECK(CALL(access, PATH1("f"), MAY_R) == -EACCES && CALL(faccessat, AT_CWD, PATH1("f"), MAY_R) == -EACCES);
    CHECK(CALL(faccessat2, AT_CWD, PATH1("f"), MAY_R, EACCESS) == 0);
    CHECK(CALL(faccessat2, AT_CWD, PATH1("f"), MAY_R, 1) == -EINVAL);
    return 0;
}

/* 72 accessed, 88 modified in the generic struct stat. */
static int64_t seconds_of(const char *path, unsigned offset)
{
    CHECK(CALL(lstat, text_at(TEXT2, path), DATA) == 0);
    return (int64_t)get64(DATA + offset);
}

static int times(void)
{
    const vaddr_t pair = DATA + 256;

    files_begin();
    int64_t fd = file_with("f", "abc");

    put_time(pair, 1000, 1);
    put_time(pair + 16, -5, 999999999);
    CHECK(CALL(utimensat, AT_CWD, PATH1("f"), pair, 0) == 0);
    CHECK(seconds_of("f", 72) == 1000 && seconds_of("f", 88) == -5 && get64(DATA + 96) == 999999999);
    put_time(pair, 7, 0x3ffffffe); /* omitted */
    put_time(pair + 16, 8, 0);
    CHECK(CALL(utimensat, U(fd), 0, pair, 0) == 0 && seconds_of("f", 72) == 1000 && seconds_of("f", 88) == 8);
    put_time(pair, 7, (int64_t)NS_PER_SEC);
    CHECK(CALL(utimensat, AT_CWD, PATH1("f"), pair, 0) == -EINVAL && CALL(utimensat, 40, 0, pair, 0) == -EBADF);
    CHECK(CALL(utimensat, AT_CWD, PATH1("f"), pair, 1) == -EINVAL);
    CHECK(CALL(utimensat, AT_CWD, PATH1("f"), NOWHERE, 0) == -EFAULT);
    CHECK(CALL(utimensat, AT_CWD, PATH1("x"), 0, 0) == -ENOENT);
    put_time(pair, INT64_MAX, 0);
    CHECK(CALL(utimensat, AT_CWD, PATH1("f"), pair, 0) == -EINVAL);

    put_time(pair, 11, 12); /* utime(2): two seconds */
    CHECK(CALL(utime, PATH1("f"), pair) == 0 && seconds_of("f", 72) == 11 && seconds_of("f", 88) == 12);
    put_time(pair, 13, 999999);
    put_time(pair + 16, 14, 0);
    CHECK(CALL(utimes, PATH1("f"), pair) == 0 && seconds_of("f", 72) == 13 && get64(DATA + 80) == 999999000);
    put_time(pair, 15, 1000000);
    CHECK(CALL(utimes, PATH1("f"), pair) == -EINVAL && CALL(utimes, PATH1("f"), NOWHERE) == -EFAULT);
    put_time(pair, 16, 0);
    CHECK(CALL(futimesat, AT_CWD, PATH1("f"), pair) == 0 && seconds_of("f", 72) == 16);
    CHECK(CALL(utime, PATH1("f"), NOWHERE) == -EFAULT && CALL(utimes, PATH1("x"), 0) == -ENOENT);
    world_become(1000);
    CHECK(CALL(utime, PATH1("f"), pair) == -EPERM && CALL(utime, PATH1("f"), 0) == -EACCES);
    return 0;
}

STORY(opening)
STORY(making)
STORY(removing)
STORY(rights)
STORY(real_rights)
STORY(times)

const struct kernel_test booted_tests[] = {
    { "opening", run_opening }, { "making", run_making },           { "removing", run_removing },
    { "rights", run_rights },   { "real_rights", run_real_rights }, { "times", run_times },
    { NULL, NULL },
};

static void names_come_and_go(void **state)
{
    (void)state;
    booted_run("opening", 4);
    booted_run("making", 4);
    booted_run("removing", 4);
}

static void what_files_say_of_themselves_changes(void **state)
{
    (void)state;
    booted_run("rights", 4);
    booted_run("real_rights", 4);
    booted_run("times", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_come_and_go),
        cmocka_unit_test(what_files_say_of_themselves_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
