/* base_json.h - strict JSON (RFC 8259) in and out. The reading API is public: omni_json_* in omni.h,
 * implemented in base_json.c. Here is what the library's own modules need besides. */
#ifndef OMNI_BASE_JSON_H
#define OMNI_BASE_JSON_H

#include "base/base.h"

/* Appends s as a quoted JSON string; invalid UTF-8 becomes U+FFFD; control characters are escaped. */
omni_status om_json_quote(om_buf *b, const char *s, size_t n);
/* Parses one quoted JSON string at s[0..n) into out (appended, escapes decoded, a lone surrogate is an error).
 * *used = bytes consumed including both quotes. */
omni_status om_json_unquote(const char *s, size_t n, size_t *used, om_buf *out, omni_error *err);
/* Checks that s[0..n) is exactly one JSON value (depth <= 64). */
omni_status om_json_check(const char *s, size_t n, omni_error *err);

#endif
