#!/usr/bin/env bash
# The reference itself: the same bytes twice.
. "$(dirname "$0")/common.sh"
same_as_c "$build/bin/c_semantics"
