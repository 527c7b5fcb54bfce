/* tok_unicode.h - the classes of code points that pre-tokenizer rules speak of: \p{L} \p{M} \p{N} \p{P} \p{S} \s.
 * May include: base. */
#ifndef OMNI_TOK_UNICODE_H
#define OMNI_TOK_UNICODE_H

#include "base/base.h"

typedef enum om_uni {               /* disjoint; the numbers are those of tok_unicode_data.c */
                      OM_UNI_OTHER, /* controls, format characters, private use, surrogates, unassigned */
                      OM_UNI_LETTER,
                      OM_UNI_MARK,
                      OM_UNI_NUMBER,
                      OM_UNI_PUNCT,
                      OM_UNI_SYMBOL,
                      OM_UNI_SPACE, /* White_Space */
} om_uni;

extern const uint32_t om_uni_n_ranges;
extern const uint32_t om_uni_range[];

om_uni om_uni_class(uint32_t cp);

#endif
