/* tok_unicode.c - class of a code point by binary search over the generated ranges. */
#include "tok/tok_unicode.h"

om_uni om_uni_class(uint32_t cp)
{
    uint32_t lo = 0, hi = om_uni_n_ranges; /* the answer is in [lo, hi); range 0 starts at code point 0 */
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (om_uni_range[mid] >> 3 <= cp)
            lo = mid;
        else
            hi = mid;
    }
    return (om_uni)(om_uni_range[lo] & 7);
}
