/* A disk that keeps what was forced to it and nothing else, put under a program by LD_PRELOAD.
 *
 * Each file that is forced is copied, as it is in that moment, to $CUT_DISK/f-INODE; of each folder that is forced, the entries
 * are noted in $CUT_DISK/d-INODE, a line "INODE NAME" for each. Nothing is really forced. Each call is a line in $CUT_DISK/calls.
 * What a power cut at any later moment may leave can be made from that. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_uint count;

static int whole(int to, const char *bytes, ssize_t length) {
    while (length > 0) {
        ssize_t done = write(to, bytes, (size_t)length);
        if (done <= 0) return -1;
        bytes += done;
        length -= done;
    }
    return 0;
}

static int entries(const char *path, int to) {
    DIR *folder = opendir(path);
    if (!folder) return -1;
    struct dirent *entry;
    int failed = 0;
    while ((entry = readdir(folder))) {
        char line[512];
        int length = snprintf(line, sizeof line, "%llu %s\n", (unsigned long long)entry->d_ino, entry->d_name);
        if (entry->d_name[0] != '.' || (entry->d_name[1] && strcmp(entry->d_name, "..")))
            failed |= whole(to, line, length);
    }
    closedir(folder);
    return failed;
}

static int content(const char *path, int to) {
    int from = open(path, O_RDONLY | O_CLOEXEC);
    if (from < 0) return -1;
    char part[65536];
    ssize_t length;
    int failed = 0;
    while ((length = read(from, part, sizeof part)) > 0) failed |= whole(to, part, length);
    close(from);
    return failed | (length < 0);
}

static int force(int file) {
    const char *disk = getenv("CUT_DISK");
    struct stat found;
    if (!disk || fstat(file, &found)) return 0;
    char from[64], name[4096], temporary[4096], line[4200];
    snprintf(from, sizeof from, "/proc/self/fd/%d", file);
    char kind = S_ISDIR(found.st_mode) ? 'd' : 'f';
    snprintf(name, sizeof name, "%s/%c-%llu", disk, kind, (unsigned long long)found.st_ino);
    snprintf(temporary, sizeof temporary, "%s/new-%d-%u", disk, getpid(), atomic_fetch_add(&count, 1));
    int to = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (to < 0) return -1;
    int failed = kind == 'd' ? entries(from, to) : content(from, to);
    close(to);
    if (failed || rename(temporary, name)) {
        errno = EIO;
        return -1;
    }
    ssize_t length = readlink(from, temporary, sizeof temporary - 1);
    snprintf(line, sizeof line, "%.*s\n", length < 0 ? 0 : (int)length, temporary);
    snprintf(name, sizeof name, "%s/calls", disk);
    int calls = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (calls >= 0) {
        whole(calls, line, (ssize_t)strlen(line));
        close(calls);
    }
    return 0;
}

int fsync(int file) { return force(file); }

int fdatasync(int file) { return force(file); }

static int each(const char *path, const struct stat *found, int kind, struct FTW *place) {
    (void)found, (void)place;
    if (kind != FTW_F && kind != FTW_D) return 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    // removed meanwhile
    if (file < 0) return 0;
    int failed = force(file);
    close(file);
    return failed;
}

/* All that is in the folder whose file system is asked for. */
int syncfs(int file) {
    char from[64], path[4096];
    snprintf(from, sizeof from, "/proc/self/fd/%d", file);
    ssize_t length = readlink(from, path, sizeof path - 1);
    if (length < 0) return -1;
    path[length] = 0;
    return nftw(path, each, 16, FTW_PHYS);
}
