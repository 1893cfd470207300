# cython: language_level=3
from nllkern._capi cimport *
from nllkern._capi_types cimport *
