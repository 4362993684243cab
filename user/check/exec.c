/* SPDX-License-Identifier: MIT */
/* execve(2): what a new program gets, scripts, and each way to be refused, after which nothing has changed. */
#include "check.h"

#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>

extern char **environ;

/* The executed side: exits with 0 if everything is as the other side made it. */
static int see_arguments(int argc, char **argv)
{
    if (argc != 5 || strcmp(argv[3], "two words") != 0 || argv[4][0] != '\0' || argv[5] != NULL)
        return 1;
    if (environ[0] == NULL || strcmp(environ[0], "A=b") != 0 || environ[1] != NULL)
        return 2;
    if (getauxval(AT_PAGESZ) != PAGE || getauxval(AT_PHENT) != sizeof(Elf64_Phdr) || getauxval(AT_ENTRY) == 0)
        return 3;
    if (getauxval(AT_RANDOM) == 0 || getauxval(AT_EXECFN) == 0 || getauxval(AT_SECURE) != 0)
        return 4;
    if (((const Elf64_Phdr *)getauxval(AT_PHDR))->p_type > 0x7fffffff)
        return 5;
    return 0;
}

static int see_descriptors(void)
{
    if (fcntl(10, F_GETFD) != 0)
        return 1;
    if (fcntl(11, F_GETFD) != -1 || errno != EBADF) /* it was to be closed */
        return 2;
    return 0;
}

static int see_signals(void)
{
    struct sigaction action;
    sigset_t mask;

    if (sigaction(SIGUSR1, NULL, &action) != 0 || action.sa_handler != SIG_DFL)
        return 1; /* handlers are gone */
    if (sigaction(SIGUSR2, NULL, &action) != 0 || action.sa_handler != SIG_IGN)
        return 2; /* ignored stays ignored */
    if (sigprocmask(SIG_BLOCK, NULL, &mask) != 0 || !sigismember(&mask, SIGHUP))
        return 3;
    return sigpending(&mask) == 0 && sigismember(&mask, SIGHUP) ? 0 : 4;
}

int check_run_as(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[2], "arguments") == 0)
        return see_arguments(argc, argv);
    if (argc > 2 && strcmp(argv[2], "descriptors") == 0)
        return see_descriptors();
    if (argc > 2 && strcmp(argv[2], "signals") == 0)
        return see_signals();
    if (argc > 2 && strcmp(argv[2], "registers") == 0)
        return registers_have_no_secret();
    if (argc > 2 && strcmp(argv[2], "busy") == 0)
        return limits_be_busy();
    if (argc > 2 && strcmp(argv[2], "privilege") == 0)
        return privilege_see();
    if (argc > 2 && strcmp(argv[2], "./script") == 0) /* the interpreter gets its argument, the path, and the rest */
        return argc == 5 && strcmp(argv[3], "x") == 0 && strcmp(argv[4], "y") == 0 ? 0 : 1;
    return 99;
}

static int execute(void *arg)
{
    char *const *argv = arg;
    char *environment[] = {"A=b", NULL};

    syscall(SYS_execve, check_program, argv, environment);
    return 80;
}

CHECK(execve, passes_arguments_and_environment)
{
    char *argv[] = {"check", "--as", "arguments", "two words", "", NULL};

    check_child(execute, argv);
}

CHECK(execve, closes_what_is_to_be_closed)
{
    char *argv[] = {"check", "--as", "descriptors", NULL};

    GOOD(dup2(0, 10));
    GOOD(dup3(0, 11, O_CLOEXEC));
    check_child(execute, argv);
}

static void never_called(int number)
{
    _exit(number);
}

static int execute_with_signals(void *arg)
{
    sigset_t mask;

    signal(SIGUSR1, never_called);
    signal(SIGUSR2, SIG_IGN);
    sigemptyset(&mask);
    sigaddset(&mask, SIGHUP);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    raise(SIGHUP);
    return execute(arg);
}

CHECK(execve, keeps_mask_and_pending_and_ignored_signals)
{
    char *argv[] = {"check", "--as", "signals", NULL};

    check_child(execute_with_signals, argv);
}

static void write_file(const char *name, const void *data, size_t bytes, mode_t mode)
{
    int fd = check_file(name, data, bytes);

    GOOD(fchmod(fd, mode));
    close(fd);
}

CHECK(execve, refuses_paths)
{
    static char long_name[5000];
    char *argv[] = {"x", NULL};

    write_file("plain", "#!/bin/sh\n", 10, 0644);
    GOOD(mkdir("folder", 0755));
    GOOD(symlink("loop", "loop"));
    FAILS(ENOENT, syscall(SYS_execve, "missing", argv, environ));
    FAILS(ENOENT, syscall(SYS_execve, "", argv, environ));
    FAILS(EACCES, syscall(SYS_execve, "plain", argv, environ));
    FAILS(EACCES, syscall(SYS_execve, "folder", argv, environ));
    FAILS(ENOTDIR, syscall(SYS_execve, "plain/x", argv, environ));
    FAILS(ELOOP, syscall(SYS_execve, "loop", argv, environ));
    memset(long_name, 'n', sizeof(long_name) - 1);
    FAILS(ENAMETOOLONG, syscall(SYS_execve, long_name, argv, environ));
    long_name[300] = '\0';
    FAILS(ENAMETOOLONG, syscall(SYS_execve, long_name, argv, environ));
    BAD_SOURCES(1, syscall(SYS_execve, bad, argv, environ));
    BAD_SOURCES(8, UNLESS_NULL(bad, syscall(SYS_execve, check_program, bad, environ)));
    BAD_SOURCES(8, UNLESS_NULL(bad, syscall(SYS_execve, check_program, argv, bad)));
    BAD_SOURCES(1, UNLESS_NULL(bad, syscall(SYS_execve, check_program, ((char *[]){"x", bad, NULL}), environ)));
}

CHECK(execve, refuses_what_is_no_program)
{
    char *argv[] = {"x", NULL};
    Elf64_Ehdr header;
    int fd = open(check_program, O_RDONLY);

    TRUE(fd >= 0 && read(fd, &header, sizeof(header)) == sizeof(header));
    write_file("empty", "", 0, 0755);
    FAILS(ENOEXEC, syscall(SYS_execve, "empty", argv, environ));
    write_file("text", "hello\n", 6, 0755);
    FAILS(ENOEXEC, syscall(SYS_execve, "text", argv, environ));
    write_file("cut", &header, 40, 0755);
    FAILS(ENOEXEC, syscall(SYS_execve, "cut", argv, environ));
    header.e_machine ^= 0x40;
    write_file("foreign", &header, sizeof(header), 0755);
    FAILS(ENOEXEC, syscall(SYS_execve, "foreign", argv, environ));
    header.e_machine ^= 0x40;
    header.e_type = ET_REL;
    write_file("object", &header, sizeof(header), 0755);
    FAILS(ENOEXEC, syscall(SYS_execve, "object", argv, environ));
    write_file("noname", "#!  \n", 5, 0755);
    FAILS(ENOEXEC, syscall(SYS_execve, "noname", argv, environ));
    write_file("nowhere", "#!/no/such/program\n", 19, 0755);
    FAILS(ENOENT, syscall(SYS_execve, "nowhere", argv, environ));
}

CHECK(execve, too_many_arguments)
{
    enum { COUNT = 3000 };
    static char *argv[COUNT + 1];
    static char argument[4096];

    memset(argument, 'a', sizeof(argument) - 1);
    for (int i = 0; i < COUNT; i++) /* 12 MiB: more than any limit allows */
        argv[i] = argument;
    FAILS(E2BIG, syscall(SYS_execve, check_program, argv, environ));
}

static int execute_script(void *arg)
{
    syscall(SYS_execve, "./script", arg, environ);
    return 81;
}

CHECK(execve, runs_scripts)
{
    char text[300], *argv[] = {"replaced", "x", "y", NULL};
    int length = snprintf(text, sizeof(text), "#! %s  --as \nnot read\n", check_program);

    NEEDS(length < 250, "the path of this program is too long for a script");
    write_file("script", text, (size_t)length, 0755);
    check_child(execute_script, argv);
}

static int execute_copy(void *arg)
{
    char *argv[] = {"copy", "--as", "./script", "x", "y", NULL};

    (void)arg;
    syscall(SYS_execve, "./copy", argv, environ);
    return 81;
}

/* Nobody writes to a program that runs, or runs one that is written to. */
CHECK(execve, text_file_busy)
{
    char *argv[] = {"copy", NULL}, piece[65536];
    int from = (int)GOOD(open(check_program, O_RDONLY)), to = (int)GOOD(open("copy", O_CREAT | O_WRONLY, 0755));
    ssize_t bytes;

    while ((bytes = read(from, piece, sizeof(piece))) > 0)
        EQUAL(write(to, piece, (size_t)bytes), bytes);
    FAILS(ETXTBSY, syscall(SYS_execve, "./copy", argv, environ));
    FAILS(ETXTBSY, open(check_program, O_WRONLY));
    FAILS(ETXTBSY, truncate(check_program, 0));
    FAILS(ETXTBSY, open(check_program, O_RDONLY | O_TRUNC));
    GOOD(close(to));
    check_child(execute_copy, NULL);
    GOOD(open("copy", O_WRONLY | O_TRUNC)); /* it has ended */
}

#define TAIL_CODE 0xe00u /* in the one page of the program */
#define TAIL_WORD 0xff8u

/* Exits with what is at TAIL_WORD. */
static const uint32_t tail_code[] = {
#if defined(__x86_64__)
    0x01f23d8b, 0x3cb80000, 0x0f000000, 0x00000005, /* mov 0x1f2(%rip), %edi; mov $60, %eax; syscall */
#elif defined(__aarch64__)
    0x18000fc0, 0xd2800ba8, 0xd4000001, /* ldr w0, . + 0x1f8; mov x8, #93; svc #0 */
#else
    0x00000517, 0x1f852503, 0x05d00893, 0x00000073, /* auipc a0, 0; lw a0, 0x1f8(a0); li a7, 93; ecall */
#endif
};

/* Behind a segment's zeros its last page is zero, too, whatever the file has there: dynamic loaders take that for
 * memory of their own. */
CHECK(execve, the_last_page_of_data_is_cleared_to_its_end)
{
    static uint8_t page[PAGE];
    Elf64_Ehdr *head = (Elf64_Ehdr *)page;
    Elf64_Phdr *segment = (Elf64_Phdr *)(page + sizeof(*head));
    int file = (int)GOOD(open("program", O_CREAT | O_RDWR, 0755));

    memset(page, 0xff, sizeof(page));
    *head = (Elf64_Ehdr){.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT}, .e_type = ET_EXEC,
                         .e_version = EV_CURRENT, .e_entry = 0x400000 + TAIL_CODE, .e_phoff = sizeof(*head),
                         .e_ehsize = sizeof(*head), .e_phentsize = sizeof(*segment), .e_phnum = 1};
#if defined(__x86_64__)
    head->e_machine = EM_X86_64;
#elif defined(__aarch64__)
    head->e_machine = EM_AARCH64;
#else
    head->e_machine = EM_RISCV;
#endif
    *segment = (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = PF_R | PF_W | PF_X, .p_vaddr = 0x400000,
                            .p_filesz = TAIL_CODE + sizeof(tail_code),
                            .p_memsz = TAIL_CODE + sizeof(tail_code) + 8, .p_align = PAGE};
    memcpy(page + TAIL_CODE, tail_code, sizeof(tail_code));
    EQUAL(write(file, page, sizeof(page)), (long)sizeof(page));
    GOOD(close(file));

    int pid = (int)GOOD(fork());

    if (pid == 0) {
        execv("./program", (char *[]){"program", NULL});
        _exit(CHECK_FAILED);
    }
    EQUAL(check_wait(pid), 0);
}
