/* base_file.h - read-only file maps. */
#ifndef OMNI_BASE_FILE_H
#define OMNI_BASE_FILE_H

#include "base/base.h"

typedef struct om_map {
    const unsigned char *p; /* NULL when size is 0 */
    size_t size;
} om_map;
/* Maps a regular file; E_SYSTEM when it cannot be opened, E_INPUT when it is a directory or not a regular file. */
omni_status om_map_open(om_map *m, const char *path, omni_error *err);
void om_map_close(om_map *m);

#endif
