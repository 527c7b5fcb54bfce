/* tiny.h - builds the tiny random models of the tests: a few tens of kilobytes each, the same bytes on every machine.
 * A test that needs one which is too large to commit includes tiny.c and builds it in memory. */
#ifndef OMNI_TINY_H
#define OMNI_TINY_H

#include "base/base.h"

/* Name of the i-th model ("llama", "qwen2", ...), NULL after the last. */
const char *tiny_name(size_t i);
/* 1 when the model is committed as tests/data/tiny-NAME.gguf. */
bool tiny_committed(size_t i);
/* Appends the GGUF file of the i-th model. as_f32: all weights dequantised, for references in exact arithmetic. */
omni_status tiny_build(size_t i, bool as_f32, om_buf *out, omni_error *err);

#endif
