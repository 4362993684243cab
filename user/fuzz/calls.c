/* SPDX-License-Identifier: MIT */
/* What the arguments of each call are, and which calls are made seldom or never. The numbers are generated. */
#include "fuzz.h"

#include <string.h>

struct call calls[] = {
#include "fuzz_calls.h"
};
const unsigned call_count = sizeof calls / sizeof calls[0];

static const struct {
    const char *names, *kinds;
} kinds[] = {
    {"read write", "fpl"}, {"pread64 pwrite64", "fplo"}, {"readv writev", "fvn"}, {"preadv pwritev", "fvnoo"},
    {"preadv2 pwritev2", "fvnooF"}, {"open", "PFF"}, {"openat", "dPFF"}, {"creat chmod mkdir access", "PF"},
    {"mkdirat fchmodat faccessat fchmodat2 faccessat2", "dPFF"}, {"close dup fsync fdatasync syncfs fchdir", "f"},
    {"dup2", "ff"}, {"dup3", "ffF"}, {"fcntl", "fni"}, {"ioctl", "fIp"}, {"lseek", "fon"}, {"pipe", "p"},
    {"pipe2", "pF"}, {"poll", "pnn"}, {"ppoll", "pntp8"}, {"select", "npppt"}, {"pselect6", "nppptp"},
    {"stat lstat statfs", "Pp"}, {"fstat fstatfs", "fp"}, {"newfstatat", "dPpF"}, {"statx", "dPFFp"},
    {"getdents64", "fpl"}, {"getxattr lgetxattr", "PPpl"}, {"fgetxattr", "fPpl"},
    {"setxattr lsetxattr", "PPplF"}, {"fsetxattr", "fPplF"}, {"removexattr lremovexattr", "PP"},
    {"fremovexattr", "fP"}, {"listxattr llistxattr", "Ppl"}, {"flistxattr", "fpl"},
    {"getcwd", "pl"}, {"chdir rmdir unlink", "P"}, {"unlinkat", "dPF"},
    {"rename link symlink", "PP"},
    {"renameat linkat", "dPdPF"}, {"renameat2", "dPdPF"}, {"symlinkat", "PdP"}, {"readlink", "Ppl"},
    {"readlinkat", "dPpl"}, {"mknod", "PFi"}, {"mknodat", "dPFi"}, {"truncate", "Po"}, {"ftruncate", "fo"},
    {"fchmod", "fF"}, {"fchown", "fii"}, {"chown lchown", "Pii"}, {"utimensat", "dPtF"}, {"futimesat", "dPt"},
    {"utime utimes", "Pt"}, {"sendfile", "ffpl"}, {"splice", "fpfplF"},
    {"close_range", "ffF"}, {"umask", "i"}, {"fadvise64", "fool"},
    {"mmap", "mMFFfo"}, {"munmap mlock munlock", "mM"}, {"mlock2", "mMF"}, {"mprotect msync madvise", "mMn"},
    {"mremap", "mMMFm"}, {"mincore", "mMp"}, {"brk", "m"}, {"mlockall", "F"}, {"mbind", "mMnpnF"},
    {"get_mempolicy", "ppnmF"}, {"membarrier", "FFi"}, {"futex", "unntun"}, {"set_robust_list", "pl"},
    {"get_robust_list", "kpp"}, {"set_tid_address", "u"}, {"nanosleep", "tp"}, {"clock_nanosleep", "cFtp"},
    {"clock_gettime clock_getres", "cp"}, {"gettimeofday", "pp"}, {"getitimer", "np"}, {"setitimer", "ntp"},
    {"alarm", "n"}, {"times time", "p"}, {"timer_create", "cpp"}, {"timer_settime", "nFtp"},
    {"timer_gettime", "np"}, {"timer_delete timer_getoverrun", "n"}, {"eventfd eventfd2", "iF"},
    {"timerfd_create", "cF"}, {"timerfd_settime", "fFtp"}, {"timerfd_gettime", "fp"},
    {"rt_sigaction", "sAp8"}, {"rt_sigprocmask", "npp8"}, {"rt_sigpending", "p8"}, {"rt_sigsuspend", "p8"},
    {"rt_sigtimedwait", "ppt8"}, {"rt_sigqueueinfo", "ksp"}, {"rt_tgsigqueueinfo", "kksp"}, {"sigaltstack", "pp"},
    {"kill", "ks"}, {"tkill", "ks"}, {"tgkill", "kks"}, {"clone", "CppPp"}, {"clone3", "pl"},
    {"execve", "Eaa"}, {"execveat", "dEaaF"}, {"wait4", "kpFp"}, {"waitid", "nkpFp"}, {"exit exit_group", "i"},
    {"getpgid getsid sched_getscheduler", "k"}, {"setpgid", "kk"}, {"prctl", "nipii"}, {"arch_prctl", "np"},
    {"sched_setscheduler", "knp"}, {"sched_setparam sched_getparam sched_rr_get_interval", "kp"},
    {"sched_setaffinity sched_getaffinity", "klp"}, {"sched_setattr", "kpF"}, {"sched_getattr", "kplF"},
    {"sched_get_priority_max sched_get_priority_min", "n"}, {"getpriority", "nk"}, {"setpriority", "nkn"},
    {"getcpu getresuid getresgid", "ppp"}, {"prlimit64", "knpp"}, {"getrlimit setrlimit getrusage", "np"},
    {"uname sysinfo", "p"}, {"getrandom", "plF"}, {"personality", "F"}, {"getgroups setgroups", "np"},
};

/* Those that end or stop a worker are made seldom, and those that change the machine for everybody, never. */
static const struct {
    const char *names;
    unsigned seldom;
} rates[] = {
    {"reboot settimeofday clock_settime sethostname setdomainname mount umount2 chroot vfork sync swapoff", 0},
    {"exit exit_group rt_sigreturn restart_syscall", 60},
    {"pause rt_sigsuspend close_range munlockall setsid", 20},
    {"kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo alarm setitimer", 8},
    {"execve execveat fork clone clone3", 8},
    {"setuid setreuid setresuid setgid setregid setresgid setgroups setfsuid setrlimit prlimit64", 30},
};

static bool has_word(const char *words, const char *word)
{
    size_t bytes = strlen(word);

    for (const char *at = words; (at = strstr(at, word)) != NULL; at += bytes)
        if ((at == words || at[-1] == ' ') && (at[bytes] == ' ' || at[bytes] == 0))
            return true;
    return false;
}

void calls_prepare(void)
{
    for (unsigned i = 0; i < call_count; i++) {
        calls[i].seldom = 1;
        for (unsigned k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
            if (has_word(kinds[k].names, calls[i].name))
                calls[i].kinds = kinds[k].kinds;
        for (unsigned r = 0; r < sizeof rates / sizeof rates[0]; r++)
            if (has_word(rates[r].names, calls[i].name))
                calls[i].seldom = rates[r].seldom;
    }
}
