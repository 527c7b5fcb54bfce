#!/bin/sh
# cppcheck: warnings, performance and portability over the library and the programs.
# shellcheck source=tests/lib.sh
. tests/lib.sh
command -v cppcheck >/dev/null 2>&1 || t_skip_all 'no cppcheck'
cd "$t_top" || exit 1
mkdir -p build/cppcheck
# The system's headers are not given: it knows the standard functions by itself. What is suppressed it gets wrong:
# hexadecimal floats, log(0), true as a byte, lengths it takes for sizes, and that om_chat_fail does not return.
t_is "$(cppcheck -q -j 2 --std=c11 --enable=warning,performance,portability --inline-suppr --suppress=missingIncludeSystem \
    --suppress=incorrectLogicOperator --suppress=invalidFunctionArg --suppress=invalidFunctionArgBool --suppress=pointerOutOfBoundsCond \
    '--suppress=zerodivcond:lib/chat/*' '--suppress=nullPointerArithmeticRedundantCheck:lib/chat/*' \
    --cppcheck-build-dir=build/cppcheck -Ilib -Ibin -D_POSIX_C_SOURCE=200809L \
    -D__x86_64__ --template='{file}:{line}: {id}: {message}' lib bin 2>&1)" '' 'cppcheck'
t_done
