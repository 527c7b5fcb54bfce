/* base_file.c - read-only file maps. */
#include "base/base_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static omni_status map_fd(om_map *m, int fd, const char *path, omni_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return om_fail_errno(err, "%s", path);
    if (!S_ISREG(st.st_mode))
        return om_fail(err, OMNI_E_INPUT, "%s: expected a regular file, found %s", path,
                       S_ISDIR(st.st_mode) ? "a directory" : "a special file");
    m->p = NULL;
    m->size = (size_t)st.st_size;
    if (m->size == 0)
        return OMNI_OK;
    void *p = mmap(NULL, m->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return om_fail_errno(err, "%s: cannot map %zu bytes", path, m->size);
    m->p = p;
    return OMNI_OK;
}

omni_status om_map_open(om_map *m, const char *path, omni_error *err)
{
    /* O_NONBLOCK: opening a FIFO must fail the type check instead of waiting for a writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return om_fail_errno(err, "%s", path);
    om_map got = {0};
    omni_status s = map_fd(&got, fd, path, err);
    close(fd);
    if (s == OMNI_OK)
        *m = got;
    return s;
}

void om_map_close(om_map *m)
{
    if (m->p)
        munmap((void *)(uintptr_t)m->p, m->size);
    *m = (om_map){0};
}
