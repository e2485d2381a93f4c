"""What the rules forbid and who is excused: tables only. The floors themselves are in tools/bazel/floors.bzl."""

# Folders where real threads, clocks and files are the business of the code.
OUTSIDE_THE_SEAM = ("io/", "tests/", "fuzz/", "bench/", "examples/", "tools/")

# Only these may talk to a person. Everything below server/ is a library.
NOT_A_LIBRARY = ("server/", "tests/", "fuzz/", "bench/", "examples/", "tools/")

# Headers of peers, which only `make bench-peers` installs: clang-tidy cannot read what includes them where they are not.
PEER_HEADERS = ("leveldb/db.h", "rocksdb/db.h", "snappy.h", "sqlite3.h")

LINES_MAX = 1000
FUNCTION_LINES_MAX = 70
TEST_LINES_MAX = 120

# Excused names, by file (or folder, ending in a slash), with the reason. An entry whose file is gone, or of which a
# name is no longer used there, is itself a finding: this list only ever says what is true.
ALLOWED = {
    "base/check.cc": ({"fprintf"}, "the last words before abort() have no other way out"),
    "io/real.cc": ({"getenv"}, "NEXUS_IO puts a whole test suite on one backend"),
    "io/real/worker_pool.cc": ({"csignal", "pthread_sigmask"}, "our threads block signals, so the program's handle them"),
    "server/line_source.cc": ({"fread"}, "standard input is a stream, which the seam's positional reads cannot take"),
    "server/main.cc": ({"signal"}, "a reader that goes away must not end the process in mid-write"),
    "server/signals.cc": ({"pthread_sigmask"}, "stop signals are waited for, so every thread must block them"),
    "server/terminal.cc": (
        {"sys/ioctl.h", "unistd.h", "isatty", "ioctl", "fwrite", "fprintf"},
        "the one file that writes to the terminal and asks how wide it is",
    ),
}

# Headers that bring in the outside world: prefix -> what to use instead.
SEAM_HEADERS = {
    "unistd.h": "use io/ (File, Directory, Clock)",
    "fcntl.h": "use io/file.h",
    "dirent.h": "use io/ (Directory)",
    "poll.h": "use io/",
    "netdb.h": "use io/",
    "pthread.h": "use io/executor.h",
    "sched.h": "use io/executor.h",
    "sys/": "use io/",
    "netinet/": "use io/",
    "arpa/": "use io/",
    "linux/": "use io/",
    "liburing.h": "use io/",
    "thread": "use io/executor.h (offload, post)",
    "future": "use Task<T> (io/task.h)",
    "stop_token": "use the scopes of io/task.h",
    "semaphore": "use io/task.h",
    "filesystem": "use io/ (Directory)",
    "fstream": "use io/file.h",
}

# Free functions: a call with one of these names, unqualified, `::` or `std::`, leaves the seam.
SEAM_CALLS = (
    "open openat creat pread pwrite preadv pwritev pread64 pwrite64 fsync fdatasync syncfs sync_file_range msync rename "
    "renameat renameat2 unlink unlinkat mkdir mkdirat rmdir opendir readdir closedir stat fstat lstat statx statvfs "
    "ftruncate fallocate posix_fallocate posix_fadvise mmap munmap madvise mremap flock fcntl ioctl isatty socket "
    "socketpair setsockopt getsockopt epoll_create1 epoll_ctl epoll_wait eventfd timerfd_create pipe2 dup2 fork vfork "
    "execv execve execvp posix_spawn waitpid kill syscall nanosleep clock_nanosleep usleep sleep clock_gettime "
    "gettimeofday rand srand rand_r random srandom drand48 getrandom getentropy fopen fdopen freopen fread tmpfile "
    "mkstemp mkdtemp gethostname getpid gettid sysconf getrusage sysinfo"
).split()
# Names too common to forbid unqualified; `::read(` is the system call.
SEAM_GLOBAL_CALLS = (
    "read write close bind connect listen accept accept4 send recv sendto recvfrom sendmsg recvmsg poll link remove "
    "truncate access time clock pipe dup sync"
).split()
# Types and objects, with `std::`.
SEAM_STD_NAMES = (
    "thread jthread async this_thread random_device filesystem ifstream ofstream fstream time clock tmpfile remove_all "
    "counting_semaphore binary_semaphore promise packaged_task"
).split()
SEAM_CLOCKS = ("system_clock", "steady_clock", "high_resolution_clock", "utc_clock", "file_clock")

# A library never prints, exits or installs signal handlers.
LIBRARY_CALLS = (
    "printf fprintf vprintf vfprintf dprintf puts fputs putchar fputc putc fwrite perror exit _exit _Exit quick_exit "
    "atexit at_quick_exit signal sigaction sigprocmask pthread_sigmask raise getenv secure_getenv setenv"
).split()
LIBRARY_STD_NAMES = ("cout", "cerr", "clog", "cin")
LIBRARY_HEADERS = {
    "iostream": "return a Status; only server/ prints",
    "signal.h": "only server/ handles signals",
    "csignal": "only server/ handles signals",
    "spdlog/": "return a Status or call the progress callback; only server/ logs",
}

# server/ is the front end, yet these still go through a file that ALLOWED names, so that a terminal is touched in
# few places: everything of SEAM_*, and of LIBRARY_* these.
SERVER_CALLS = (
    "printf fprintf vprintf vfprintf dprintf puts fputs putchar fputc putc fwrite perror exit _exit _Exit quick_exit "
    "signal sigaction sigprocmask pthread_sigmask raise"
).split()

# std::remove with iterators is an algorithm; the file function of that name is caught as ::remove.
LOCKS = ("mutex", "timed_mutex", "recursive_mutex", "shared_mutex", "lock_guard", "unique_lock", "scoped_lock",
         "shared_lock", "condition_variable", "condition_variable_any")
LOCKS_HOME = "base/mutex.h"
