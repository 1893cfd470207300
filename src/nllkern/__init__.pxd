# cython: language_level=3
from nllkern._capi cimport *
