"""Arrays that end, or begin, where memory ends: a read or write beyond them is a SIGSEGV."""

import ctypes
import mmap
from collections import defaultdict

import numpy as np

PAGE = mmap.PAGESIZE
GUARD = 4 * PAGE  # on either side
PROT_NONE = 0
CANARY = 0xA5  # of the bytes around an array
LIBC = ctypes.CDLL(None, use_errno=True)


class Slot:
    """Memory for one array at a time, between pages that must not be touched."""

    def __init__(self, size):
        self.map = mmap.mmap(-1, 2 * GUARD + size)
        every = np.frombuffer(self.map, np.uint8)
        self.bytes = every[GUARD:-GUARD]
        for begin in (every.ctypes.data, every.ctypes.data + GUARD + size):
            if LIBC.mprotect(ctypes.c_void_p(begin), ctypes.c_size_t(GUARD), PROT_NONE):
                raise OSError(ctypes.get_errno(), "mprotect")

    def put(self, array, edge):
        """A copy of the array at that edge: "begin" or "end"."""
        first = 0 if edge == "begin" else self.bytes.size - array.nbytes
        self.bytes[...] = CANARY
        self.before, self.after = self.bytes[:first], self.bytes[first + array.nbytes :]
        copy = self.bytes[first : first + array.nbytes].view(array.dtype).reshape(array.shape)
        copy[...] = array
        return copy

    def is_intact(self):
        """Whether nothing was written beside the array."""
        return bool((self.before == CANARY).all() and (self.after == CANARY).all())


class Guarded:
    """Moves arrays between guard pages: `output` and `input`; `check` looks at all of them."""

    def __init__(self):
        self.slots = defaultdict(list)  # by their size
        self.begin("end")

    def begin(self, edge):
        """Forget the arrays so far; the next ones lie at that edge."""
        self.edge, self.used, self.inputs = edge, defaultdict(int), []

    def output(self, array):
        """A copy that may be written."""
        size = PAGE
        while size < array.nbytes:
            size *= 2
        if self.used[size] == len(self.slots[size]):
            self.slots[size].append(Slot(size))
        slot = self.slots[size][self.used[size]]
        self.used[size] += 1
        return slot.put(array, self.edge)

    def input(self, array):
        """A copy that must not be written."""
        copy = self.output(array)
        self.inputs.append((copy, copy.tobytes()))
        return copy

    def check(self):
        """Raises AssertionError if anything was written that is no output."""
        for size, count in self.used.items():
            for slot in self.slots[size][:count]:
                assert slot.is_intact(), "bytes beside an array were written"
        for copy, expected in self.inputs:
            assert copy.tobytes() == expected, "an input was written"
