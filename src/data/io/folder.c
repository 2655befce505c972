/* folder.c - a folder that appears whole or not at all: written beside its place, then renamed. An existing folder with
 * anything in it is never touched. */
#include "data/io/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static hs_status fail_io(hs_error *err, const char *what, const char *path)
{
    hs_fail(err, HS_ERR_IO, "%s: %s", what, strerror(errno));
    return hs_error_where(err, "%s", path);
}

hs_status hs_folder_open(hs_folder *folder, const char *dir, hs_error *err)
{
    size_t len = strlen(dir);
    while (len > 1 && dir[len - 1] == '/')
        len--;
    if (len == 0 || len >= sizeof folder->dir)
        return hs_fail(err, HS_ERR_USAGE, "the name of the output folder is empty or too long");
    memcpy(folder->dir, dir, len);
    folder->dir[len] = 0;
    memcpy(folder->tmp, folder->dir, len);
    snprintf(folder->tmp + len, sizeof folder->tmp - len, ".tmp-%ld", (long)getpid());
    HS_TRY(hs_path_check_vacant(folder->dir, err));
    char *slash = strrchr(folder->dir, '/');
    if (slash && slash != folder->dir) {
        *slash = 0;
        hs_status status = hs_make_dirs(folder->dir, err);
        *slash = '/';
        HS_TRY(status);
    }
    return mkdir(folder->tmp, 0777) == 0 ? HS_OK : fail_io(err, "the output folder cannot be made", folder->tmp);
}

hs_status hs_folder_put(const hs_folder *folder, const char *name, const hs_str *text, hs_error *err)
{
    char path[sizeof folder->tmp + 256];
    if (text->failed)
        return hs_fail_memory(err, text->len);
    HS_TRY(hs_path_join(path, sizeof path, folder->tmp, name, err));
    return hs_file_write(path, text->s ? text->s : "", text->len, err);
}

static void remove_tree(const char *path)
{
    DIR *d = opendir(path);
    if (d) {
        for (struct dirent *e; (e = readdir(d)) != NULL;) {
            char child[4096 + 512];
            struct stat st;
            if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
                hs_path_join(child, sizeof child, path, e->d_name, NULL) != HS_OK || lstat(child, &st) != 0)
                continue;
            if (S_ISDIR(st.st_mode))
                remove_tree(child);
            else
                unlink(child);
        }
        closedir(d);
    }
    rmdir(path);
}

hs_status hs_folder_commit(hs_folder *folder, hs_error *err)
{
    if (rename(folder->tmp, folder->dir) != 0) { /* replaces an empty folder */
        hs_status status = fail_io(err, "the output folder cannot be put in place", folder->dir);
        hs_folder_abort(folder);
        return status;
    }
    char *slash = strrchr(folder->dir, '/');
    const char *parent = ".";
    if (slash) {
        slash[slash == folder->dir ? 1 : 0] = 0;
        parent = folder->dir;
    }
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    return HS_OK;
}

void hs_folder_abort(hs_folder *folder)
{
    remove_tree(folder->tmp);
}
